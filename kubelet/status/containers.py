"""Pure: what a PodStatus says of each container. One that has been removed is remembered as it was."""

from __future__ import annotations

from datetime import UTC, datetime

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerStatus
from kubelet.status.seen import Seen

NEVER = "1970-01-01T00:00:00Z"  # as upstream says it of a container that ended before it had started
LOST: Object = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}


def status_of_container(pod: Object, container: Object, seen: Seen) -> Object:
    """The status of one container: what the runtime says of it, else what is remembered."""
    name = container["name"]
    runs = seen.state.all_of(name)
    old = pod_status.of_container(pod, name)
    if runs:
        status = _from_runtime(container, runs, seen, old)
    elif begins_anew(name, seen):
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


def begins_anew(name: str, seen: Seen) -> bool:
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


def end_what_has_not_ended(pod: Object, init: list[Object], main: list[Object]) -> None:
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
