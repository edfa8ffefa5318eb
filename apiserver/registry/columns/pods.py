"""Pods: one word for all that a pod's status says, how many containers are ready, how often they were restarted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apiserver.registry.columns.shared import AGE, NAME, NONE, ago, cell, read
from apiserver.registry.strategy import Column
from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, is_deleting, spec_of, status_of


def _statuses(pod: Object, field: str = "containerStatuses") -> list[Object]:
    return status_of(pod).get(field) or []


def _state(status: Object, kind: str) -> Object | None:
    found: Object | None = (status.get("state") or {}).get(kind)
    return found


def _init(pod: Object) -> tuple[list[Object], str]:
    """The states of the init containers up to the first that is not done, and what that one says; `""`: all are."""
    inits = {container["name"]: container for container in pod_containers.init_containers_of(pod)}
    passed: list[Object] = []
    for index, status in enumerate(_statuses(pod, "initContainerStatuses")):
        passed.append(status)
        ended, waiting = _state(status, "terminated"), _state(status, "waiting")
        if ended is not None and not ended.get("exitCode"):
            continue
        if _is_sidecar(inits, status) and status.get("started"):
            continue
        if ended is not None:
            return passed, "Init:" + _ending(ended)
        if waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
            return passed, f"Init:{waiting['reason']}"
        return passed, f"Init:{index}/{len(inits)}"
    return passed, ""


def _is_sidecar(inits: dict[str, Object], status: Object) -> bool:
    container = inits.get(status.get("name") or "")
    return container is not None and is_restartable_init(container)


def _sidecars(pod: Object, passed: list[Object]) -> list[Object]:
    inits = {container["name"]: container for container in pod_containers.init_containers_of(pod)}
    return [status for status in passed if _is_sidecar(inits, status)]


def _is_past_init(pod: Object, told: str) -> bool:
    return not told or conditions.is_true(pod, "Initialized")


def _is_ready(status: Object) -> bool:
    return bool(status.get("ready")) and _state(status, "running") is not None


def _ending(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode') or 0}"


def ready(pod: Object) -> str:
    """How many containers are ready, sidecars included; before the pod is initialized none but sidecars count."""
    passed, told = _init(pod)
    count = sum(1 for status in _sidecars(pod, passed) if status.get("started") and status.get("ready"))
    if _is_past_init(pod, told):
        count += sum(1 for status in _statuses(pod) if _is_ready(status))
    return f"{count}/{len(pod_containers.containers_of(pod)) + len(pod_containers.sidecars_of(pod))}"


def status_word(pod: Object) -> str:
    """What `kubectl get pods` shows as the status."""
    status = status_of(pod)
    reason = status.get("reason") or status.get("phase") or ""
    scheduled = conditions.find(status.get("conditions"), "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    _, told = _init(pod)
    reason = told or reason
    if _is_past_init(pod, told):
        reason = _containers_word(pod, reason)
    if is_deleting(pod):
        if status.get("reason") == "NodeLost":
            return "Unknown"
        if status.get("phase") not in ("Succeeded", "Failed"):
            return "Terminating"
    return reason


def _containers_word(pod: Object, reason: str) -> str:
    running, failure = False, ""
    for status in reversed(_statuses(pod)):
        waiting, ended = _state(status, "waiting"), _state(status, "terminated")
        if waiting is not None and waiting.get("reason"):
            reason = waiting["reason"]
        elif ended is not None:
            reason = _ending(ended)
            failure = reason if ended.get("exitCode") else failure
        elif _is_ready(status):
            running = True
    if reason != "Completed":
        return reason
    if running and conditions.is_true(pod, "Ready"):
        return "Running"
    return failure or ("NotReady" if running else reason)


def restarts(pod: Object, now: datetime) -> str:
    """How often containers were restarted, and when the last time; while the pod starts, those of init containers."""
    passed, told = _init(pod)
    counted = [*_sidecars(pod, passed), *_statuses(pod)] if _is_past_init(pod, told) else passed
    total = sum(status.get("restartCount") or 0 for status in counted)
    endings = [read(status, "lastState", "terminated", "finishedAt") for status in counted]
    last = max((ending for ending in endings if ending), default="")
    return f"{total} ({ago(last, now)} ago)" if total and last else str(total)


def _ip(pod: Object) -> str:
    ips = status_of(pod).get("podIPs") or []
    return (ips[0].get("ip") if ips else status_of(pod).get("podIP")) or NONE


def _readiness_gates(pod: Object) -> str:
    gates = spec_of(pod).get("readinessGates") or []
    if not gates:
        return NONE
    true = sum(1 for gate in gates if conditions.is_true(pod, gate.get("conditionType") or ""))
    return f"{true}/{len(gates)}"


def row_conditions(pod: Object) -> list[dict[str, Any]] | None:
    """A pod that has ended says so in its row; clients show such rows in another way."""
    phase = status_of(pod).get("phase")
    if phase not in _ENDED:
        return None
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _ENDED[phase]}]


_ENDED = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}

POD = (
    NAME,
    cell("Ready", ready, "The aggregate readiness state of this pod for accepting traffic."),
    cell("Status", status_word, "The aggregate status of the containers in this pod."),
    Column(
        "Restarts",
        restarts,
        description="The number of times the containers in this pod have been restarted and when the last container "
        "in this pod has restarted.",
        needs_now=True,
    ),
    AGE,
    cell("IP", _ip, wide=True, about="core.v1.PodStatus.podIP"),
    cell(
        "Node", lambda pod: spec_of(pod).get("nodeName") or NONE, wide=True, about="core.v1.PodSpec.nodeName"
    ),
    cell(
        "Nominated Node",
        lambda pod: status_of(pod).get("nominatedNodeName") or NONE,
        wide=True,
        about="core.v1.PodStatus.nominatedNodeName",
    ),
    cell("Readiness Gates", _readiness_gates, wide=True, about="core.v1.PodSpec.readinessGates"),
)
