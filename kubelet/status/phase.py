"""Pure: the phase of a pod.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
"""

from __future__ import annotations

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery.object import Object
from kubelet.status.containers import begins_anew
from kubelet.status.seen import Seen


def phase_of(pod: Object, init: list[Object], main: list[Object], seen: Seen) -> str:
    """Where the pod is in its life, by the statuses of its containers."""
    pending_init, failed_init = _init_progress(pod, init, seen)
    waiting = running = stopped = succeeded = 0
    for status in main:
        state = status["state"]
        if "running" in state:
            running += 1
        elif "terminated" in state or (status.get("lastState") or {}).get("terminated"):
            stopped += 1
            succeeded += (state.get("terminated") or {}).get("exitCode") == 0
        else:
            waiting += 1
    if failed_init and not seen.restarting_all:  # else it was stopped to begin anew
        return pod_status.FAILED
    if pending_init and not (running or stopped):
        return pod_status.PENDING
    if waiting:
        return pod_status.PENDING
    if running:
        return pod_status.RUNNING
    if not stopped:
        return pod_status.PENDING
    if seen.terminating:
        return pod_status.SUCCEEDED if stopped == succeeded else pod_status.FAILED
    if seen.restarting_all or _any_runs_again(pod, main):
        return pod_status.RUNNING
    return pod_status.SUCCEEDED if stopped == succeeded else pod_status.FAILED


def _init_progress(pod: Object, statuses: list[Object], seen: Seen) -> tuple[bool, bool]:
    """Is some init container not through; has one failed for good?"""
    pending = failed = False
    for container, status in zip(pod_containers.init_containers_of(pod), statuses, strict=True):
        if is_restartable_init(container):
            pending = pending or not status.get("started")
            continue
        ended = status["state"].get("terminated")
        if ended is None or ended.get("exitCode") != 0:
            pending = True
            if begins_anew(container["name"], seen):
                continue
            last = ended or (status.get("lastState") or {}).get("terminated") or {}
            code = last.get("exitCode") or 0
            failed = failed or (code != 0 and not pod_containers.should_restart(pod, container, code))
    return pending, failed


def _any_runs_again(pod: Object, main: list[Object]) -> bool:
    for container, status in zip(pod_containers.containers_of(pod), main, strict=True):
        ended = status["state"].get("terminated")
        if ended is None or pod_containers.should_restart(pod, container, ended.get("exitCode") or 0):
            return True
    return False
