"""Pure: the conditions of a pod, as far as its kubelet says them.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-conditions
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, generation_of, spec_of, status_of
from kubelet.runtime import interface
from kubelet.status.seen import Seen

READY_TO_START = "PodReadyToStartContainers"
ALL_RESTARTING = "AllContainersRestarting"
RESIZE_CONDITIONS = ("PodResizePending", "PodResizeInProgress")
OWN_CONDITIONS = (
    READY_TO_START,
    pod_status.INITIALIZED,
    pod_status.READY,
    pod_status.CONTAINERS_READY,
    pod_status.POD_SCHEDULED,
    ALL_RESTARTING,
    *RESIZE_CONDITIONS,
)


def conditions_of(pod: Object, status: Object, seen: Seen, now: datetime) -> list[Object]:
    """The kubelet's own conditions renewed, those of others untouched."""
    found = [dict(condition) for condition in status_of(pod).get("conditions") or []]
    sandbox = seen.state.sandbox
    has_network = (
        sandbox is not None
        and sandbox.state == interface.READY
        and bool(sandbox.ips or spec_of(pod).get("hostNetwork"))
    )
    containers_ready = _containers_ready(pod, status)
    wanted: list[dict[str, Any]] = [
        {"type": READY_TO_START, "status": "True" if has_network else "False"},
        {"type": pod_status.INITIALIZED, **_initialized(pod, status)},
        {"type": pod_status.READY, **_ready(pod, status, containers_ready, found)},
        {"type": pod_status.CONTAINERS_READY, **containers_ready},
        {"type": pod_status.POD_SCHEDULED, "status": "True"},
    ]
    if pod_containers.may_restart_all(pod):
        wanted.append({"type": ALL_RESTARTING, **_all_restarting(status, seen)})
    for condition in wanted:
        own = {"lastProbeTime": None, **condition}
        if generation_of(pod):
            own["observedGeneration"] = generation_of(pod)
        old = conditions.find(found, condition["type"])
        if old is not None:
            for key in ("reason", "message"):
                if key not in own:
                    old.pop(key, None)
        conditions.set_condition(found, own, now)
    resizing = {condition["type"] for condition in seen.resize}
    found = [one for one in found if one["type"] not in RESIZE_CONDITIONS or one["type"] in resizing]
    for condition in seen.resize:
        conditions.set_condition(found, {"lastProbeTime": None, **condition}, now)
    return found


def _all_restarting(status: Object, seen: Seen) -> Object:
    ended = {pod_status.SUCCEEDED: "PodCompleted", pod_status.FAILED: "PodFailed"}.get(status["phase"])
    if ended:
        return {"status": "False", "reason": ended}
    if not seen.restarting_all:
        return {"status": "False"}
    message = "container exited with restart policy rule"
    return {"status": "True", "reason": "RestartAllContainersStarted", "message": message}


def _initialized(pod: Object, status: Object) -> Object:
    init = pod_containers.init_containers_of(pod)
    if status["phase"] == pod_status.SUCCEEDED:
        return {"status": "True", "reason": "PodCompleted"}
    incomplete = [
        container["name"]
        for container, one in zip(init, status.get("initContainerStatuses") or [], strict=True)
        if not (one.get("started") if is_restartable_init(container) else one.get("ready"))
    ]
    started = any(one.get("started") or one.get("lastState") for one in status["containerStatuses"])
    if not incomplete or started:
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(incomplete)}]",
    }


def _containers_ready(pod: Object, status: Object) -> Object:
    if status["phase"] == pod_status.SUCCEEDED:
        return {"status": "False", "reason": "PodCompleted"}
    if status["phase"] == pod_status.FAILED:
        return {"status": "False", "reason": "PodFailed"}
    sidecars = [
        one
        for container, one in zip(
            pod_containers.init_containers_of(pod), status.get("initContainerStatuses") or [], strict=True
        )
        if is_restartable_init(container)
    ]
    unready = [one["name"] for one in [*sidecars, *status["containerStatuses"]] if not one.get("ready")]
    if not unready:
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }


def _ready(pod: Object, status: Object, containers_ready: Object, found: list[Object]) -> Object:
    if containers_ready["status"] != "True":
        return containers_ready
    messages = []
    for gate in spec_of(pod).get("readinessGates") or []:
        condition = conditions.find(found, gate["conditionType"])
        if condition is None:
            messages.append(
                f'corresponding condition of pod readiness gate "{gate["conditionType"]}" does not exist.'
            )
        elif condition.get("status") != "True":
            name, found_status = gate["conditionType"], condition.get("status")
            messages.append(f'the status of pod readiness gate "{name}" is not "True", but {found_status}')
    if messages:
        return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(messages)}
    return {"status": "True"}
