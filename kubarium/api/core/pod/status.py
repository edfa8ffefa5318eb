"""What a pod's status says: its phase, whether it is ready, available, active or finished."""

from __future__ import annotations

from datetime import datetime, timedelta

from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, generation_of, is_deleting, status_of

PENDING = "Pending"
RUNNING = "Running"
SUCCEEDED = "Succeeded"
FAILED = "Failed"
UNKNOWN = "Unknown"

READY = "Ready"
CONTAINERS_READY = "ContainersReady"
INITIALIZED = "Initialized"
POD_SCHEDULED = "PodScheduled"
DISRUPTION_TARGET = "DisruptionTarget"


def phase_of(pod: Object) -> str:
    """Pending, Running, Succeeded, Failed or Unknown; a pod that nobody has reported on is Pending."""
    return status_of(pod).get("phase") or PENDING


def condition(pod: Object, type: str) -> Object | None:
    """One of the pod's conditions."""
    return conditions.find(status_of(pod).get("conditions"), type)


def is_ready(pod: Object) -> bool:
    """May the pod be sent requests?"""
    return conditions.is_true(pod, READY)


def ready_since(pod: Object) -> datetime | None:
    """Since when the pod has been ready; nothing if it is not."""
    ready = condition(pod, READY)
    if ready is None or ready.get("status") != "True":
        return None
    return time.parse_time(ready["lastTransitionTime"]) if ready.get("lastTransitionTime") else None


def is_terminal(pod: Object) -> bool:
    """Have all containers ended for good?"""
    return phase_of(pod) in (SUCCEEDED, FAILED)


def is_active(pod: Object) -> bool:
    """Does the pod still count: neither finished nor on its way out?"""
    return not is_terminal(pod) and not is_deleting(pod)


def is_scheduled(pod: Object) -> bool:
    """Does the pod have a node?"""
    return bool((pod.get("spec") or {}).get("nodeName"))


def is_available(pod: Object, min_ready_seconds: int, now: datetime) -> bool:
    """Has the pod been ready for long enough?"""
    if not is_ready(pod):
        return False
    if not min_ready_seconds:
        return True
    since = ready_since(pod)
    return since is not None and since + timedelta(seconds=min_ready_seconds) <= now


def restart_count(pod: Object) -> int:
    """How often the containers were restarted: the largest count of any of them."""
    statuses = status_of(pod).get("containerStatuses") or []
    return max((status.get("restartCount") or 0 for status in statuses), default=0)


def of_container(pod: Object, name: str) -> Object | None:
    """The status of one container, of whichever kind."""
    for kind in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"):
        for status in status_of(pod).get(kind) or []:
            if status.get("name") == name:
                found: Object = status
                return found
    return None


def observed(pod: Object, condition: Object) -> Object:
    """The condition, with the generation of the pod of which it tells."""
    return {**condition, "observedGeneration": generation_of(pod)} if generation_of(pod) else condition
