"""Pure: pod + runtime state + probe results -> PodStatus.

What the API server already knows of the pod (the old status) counts in two ways: a container that has been removed is
remembered as it was, and a phase never goes back.
Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import resources
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, generation_of, spec_of, status_of
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerStatus, StartError
from kubelet.runtime.state import PodState

NEVER = "1970-01-01T00:00:00Z"  # as upstream says it of a container that ended before it had started
ENDED = (pod_status.SUCCEEDED, pod_status.FAILED)
LOST: Object = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}
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


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything besides the pod from which its status is made."""

    state: PodState
    reasons: Mapping[str, StartError] = field(default_factory=dict)  # by container name
    readiness: Mapping[str, bool] = field(default_factory=dict)  # by container id
    startup: Mapping[str, bool] = field(default_factory=dict)
    host_ips: Sequence[str] = ()
    runtime_name: str = "containerd"
    terminating: bool = False  # nothing will be started any more
    resize: Sequence[Object] = ()  # conditions PodResizePending, PodResizeInProgress
    restarting_all: bool = False  # one container's end restarts all of them
    removed: Mapping[str, ContainerStatus] = field(default_factory=dict)  # by name: how they had ended then
    unsettled: Sequence[str] = ()  # containers whose limits are not yet what they should be
    recursive_read_only: bool = False  # can mounts be so?
    device_health: Callable[[str], list[Object]] = lambda name: []  # of a container


def generate(pod: Object, seen: Seen, now: datetime) -> Object:
    """The complete status."""
    old = status_of(pod)
    spec = spec_of(pod)
    init = [_container(pod, one, seen, now) for one in pod_containers.init_containers_of(pod)]
    main = [_container(pod, one, seen, now) for one in pod_containers.containers_of(pod)]
    ephemeral = [_container(pod, one, seen, now) for one in pod_containers.ephemeral_containers_of(pod)]
    phase = _phase(pod, init, main, seen)
    if old.get("phase") in ENDED:
        phase = old["phase"]
    if seen.terminating:
        _end_what_has_not_ended(pod, init, main)
        if phase not in ENDED and not is_static(pod):
            phase = pod_status.FAILED
    status: Object = {
        "observedGeneration": generation_of(pod) or None,
        "phase": phase,
        "hostIP": seen.host_ips[0] if seen.host_ips else None,
        "hostIPs": [{"ip": ip} for ip in seen.host_ips] or None,
        "startTime": old.get("startTime") or time.format_time(now),
        "initContainerStatuses": init or None,
        "containerStatuses": main,
        "ephemeralContainerStatuses": ephemeral or None,
        "qosClass": old.get("qosClass") or resources.qos_class(pod),
        "reason": old.get("reason"),
        "message": old.get("message"),
        "resourceClaimStatuses": old.get(
            "resourceClaimStatuses"
        ),  # of the controllers: the kubelet reads them
        "extendedResourceClaimStatus": old.get("extendedResourceClaimStatus"),
    }
    if spec.get("resources"):
        status["resources"] = spec["resources"]
        status["allocatedResources"] = spec["resources"].get("requests")
    ips = list(seen.host_ips) if spec.get("hostNetwork") and seen.state.sandbox else list(seen.state.ips)
    if not ips:  # keep the address of a pod that has ended
        ips = [entry["ip"] for entry in old.get("podIPs") or []]
    if ips:
        status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    status["conditions"] = _conditions(pod, status, seen, now)
    return {key: value for key, value in status.items() if value is not None}


def failed(pod: Object, reason: str, message: str, now: datetime) -> Object:
    """The status of a pod that is refused or given up."""
    status: Object = {
        **{key: value for key, value in status_of(pod).items() if key != "conditions"},
        "phase": pod_status.FAILED,
        "reason": reason,
        "message": message,
        "startTime": status_of(pod).get("startTime") or time.format_time(now),
        "qosClass": status_of(pod).get("qosClass") or resources.qos_class(pod),
        "conditions": [dict(condition) for condition in status_of(pod).get("conditions") or []],
    }
    if generation_of(pod):
        status["observedGeneration"] = generation_of(pod)
    return status


# -- containers ------------------------------------------------------------------------------------------------------


def _container(pod: Object, container: Object, seen: Seen, now: datetime) -> Object:
    name = container["name"]
    runs = seen.state.all_of(name)
    old = pod_status.of_container(pod, name)
    if runs:
        status = _from_runtime(container, runs, seen, old)
    elif _begins_anew(name, seen):
        status = _waiting(pod, container, old) | {"lastState": _state(seen.removed[name], seen.runtime_name)}
    elif old is not None and (old.get("state") or {}).get("terminated"):
        status = dict(old)
        status["ready"] = False
    elif old is not None and (old.get("state") or {}).get("running"):
        status = _lost(pod, container, old)
    else:
        status = _waiting(pod, container, old)
    _apply_reason(pod, container, runs, status, seen)
    _apply_probes(pod, container, runs, status, seen)
    return status


def _begins_anew(name: str, seen: Seen) -> bool:
    """Has it been removed with all others, and not been started since?"""
    return name in seen.removed and not seen.state.all_of(name)


def _from_runtime(container: Object, runs: list[ContainerStatus], seen: Seen, old: Object | None) -> Object:
    newest = runs[0]
    status: Object = {
        "name": container["name"],
        "state": _state(newest, seen.runtime_name),
        "lastState": {},
        "ready": False,
        "restartCount": newest.restart_count,
        "image": newest.image,
        "imageID": newest.image_ref,
        "containerID": f"{seen.runtime_name}://{newest.id}",
        "started": False,
    }
    earlier = [*runs[1:], *(run for name, run in seen.removed.items() if name == container["name"])]
    dead = next((run for run in earlier if run.state in (interface.EXITED, interface.UNKNOWN)), None)
    if dead is not None:
        status["lastState"] = _state(dead, seen.runtime_name)
    elif old is not None and newest.restart_count > 0:
        ended = (old.get("state") or {}).get("terminated")
        is_new = old.get("containerID") != status["containerID"]
        status["lastState"] = {"terminated": ended} if ended and is_new else old.get("lastState") or {}
    status |= _resources(container, old, container["name"] in seen.unsettled)
    if container.get("volumeMounts"):
        status["volumeMounts"] = [
            _mount_status(mount, seen.recursive_read_only) for mount in container["volumeMounts"]
        ]
    health = seen.device_health(container["name"])
    if health:
        status["allocatedResourcesStatus"] = health
    if newest.user is not None:
        status["user"] = {"linux": dict(newest.user)}
    return status


def _resources(container: Object, old: Object | None, unsettled: bool) -> Object:
    """What the container really has: the promised amounts, once the runtime has taken them over."""
    wanted = container.get("resources") or {}
    if unsettled and old is not None and old.get("resources"):
        found: Object = {"resources": old["resources"]}
    else:
        found = {"resources": {key: dict(wanted[key]) for key in ("limits", "requests") if wanted.get(key)}}
    if wanted.get("requests"):
        found["allocatedResources"] = dict(wanted["requests"])
    return found


def _mount_status(mount: Object, can_be_recursive: bool) -> Object:
    """`IfPossible` has become what was possible."""
    status: Object = {"name": mount["name"], "mountPath": mount["mountPath"]}
    if mount.get("readOnly"):
        wanted = mount.get("recursiveReadOnly") or "Disabled"
        if wanted == "IfPossible":
            wanted = "Enabled" if can_be_recursive else "Disabled"
        status |= {"readOnly": True, "recursiveReadOnly": wanted}
    return status


def _state(run: ContainerStatus, runtime_name: str) -> Object:
    if run.state == interface.RUNNING:
        return {"running": {"startedAt": _moment(run.started_at)}}
    if run.state == interface.CREATED:
        return {"waiting": {"reason": "ContainerCreating"}}
    terminated: Object = {
        "exitCode": run.exit_code if run.state == interface.EXITED else 137,
        "reason": run.reason or ("Completed" if run.exit_code == 0 else "Error"),
        "startedAt": _moment(run.started_at) or NEVER,
        "finishedAt": _moment(run.finished_at),
        "containerID": f"{runtime_name}://{run.id}",
    }
    if run.state == interface.UNKNOWN:
        terminated["reason"] = "ContainerStatusUnknown"
    if run.message:
        terminated["message"] = run.message
    return {"terminated": terminated}


def _moment(nanoseconds: int) -> str | None:
    return time.format_time(datetime.fromtimestamp(nanoseconds / 1e9, UTC)) if nanoseconds > 0 else None


def _waiting(pod: Object, container: Object, old: Object | None) -> Object:
    has_init = bool(pod_containers.init_containers_of(pod))
    last = (old or {}).get("lastState") or {}
    return {
        "name": container["name"],
        "state": {"waiting": {"reason": "PodInitializing" if has_init else "ContainerCreating"}},
        "lastState": last,
        "ready": False,
        "restartCount": (old or {}).get("restartCount") or 0,
        "image": container.get("image") or "",
        "imageID": "",
        "started": False,
    }


def _lost(pod: Object, container: Object, old: Object) -> Object:
    """It was running and now the runtime does not know it."""
    status = _waiting(pod, container, old)
    if pod_containers.restart_policy_of(pod) == pod_containers.NEVER:
        status["state"] = {"terminated": dict(LOST)}
        return status
    message = LOST["message"].replace("terminated", "deleted")
    status["lastState"] = {"terminated": {**LOST, "message": message}}
    status["restartCount"] = (old.get("restartCount") or 0) + 1
    return status


def _end_what_has_not_ended(pod: Object, init: list[Object], main: list[Object]) -> None:
    """The pod is over. A container of which nothing tells how it ended has failed; those never reached stay waiting."""
    tried = max((number + 1 for number, one in enumerate(init) if _was_tried(one)), default=1)
    for status in [*init[:tried], *(main if _had_initialized(pod, init, main) else [])]:
        if "terminated" not in status["state"]:
            status["state"] = {"terminated": dict(LOST)}


def _was_tried(status: Object) -> bool:
    return "waiting" not in status["state"] or bool((status.get("lastState") or {}).get("terminated"))


def _had_initialized(pod: Object, init: list[Object], main: list[Object]) -> bool:
    if not init or any(_was_tried(status) for status in main):
        return True
    last = init[-1]
    if is_restartable_init(pod_containers.init_containers_of(pod)[-1]):
        return bool(last.get("started"))
    ends = [(last.get(key) or {}).get("terminated") for key in ("state", "lastState")]
    return any(end is not None and end.get("exitCode") == 0 for end in ends)


def _apply_reason(
    pod: Object, container: Object, runs: list[ContainerStatus], status: Object, seen: Seen
) -> None:
    """A container that should run again is waiting; the reason is what kept it from starting."""
    reason = seen.reasons.get(container["name"])
    if reason is None or seen.terminating:
        return
    newest = runs[0] if runs else None
    if newest is not None:
        if newest.state == interface.RUNNING:
            return
        ended = newest.state == interface.EXITED
        if ended and not pod_containers.should_restart(pod, container, newest.exit_code):
            return
        if ended:
            status["lastState"] = status["state"]
    elif "terminated" in status["state"]:
        status["lastState"] = status["state"]
    status["state"] = {"waiting": {"reason": reason.reason, "message": reason.message}}


def _apply_probes(
    pod: Object, container: Object, runs: list[ContainerStatus], status: Object, seen: Seen
) -> None:
    newest = runs[0] if runs else None
    running = newest is not None and newest.state == interface.RUNNING and "running" in status["state"]
    if pod_containers.is_init(pod, container) and not is_restartable_init(container):
        status["ready"] = (status["state"].get("terminated") or {}).get("exitCode") == 0
        status["started"] = bool(running)
        return
    if not running or newest is None:
        status["ready"] = status["started"] = False
        return
    status["started"] = not container.get("startupProbe") or seen.startup.get(newest.id) is True
    is_ready = not container.get("readinessProbe") or seen.readiness.get(newest.id) is True
    status["ready"] = bool(status["started"] and is_ready)
    if pod_containers.is_ephemeral(pod, container):
        status["ready"] = False
        status.pop("started")


# -- phase -----------------------------------------------------------------------------------------------------------


def _phase(pod: Object, init: list[Object], main: list[Object], seen: Seen) -> str:
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
            if _begins_anew(container["name"], seen):
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


# -- conditions ------------------------------------------------------------------------------------------------------


def _conditions(pod: Object, status: Object, seen: Seen, now: datetime) -> list[Object]:
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
