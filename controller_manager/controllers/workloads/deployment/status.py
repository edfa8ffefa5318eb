"""Pure: what a Deployment reports about itself: counts, availability, progress and its deadline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from kubarium.api.apps import deployment as deployments
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, copy, generation_of, name_of, status_of

AVAILABLE = "Available"
PROGRESSING = "Progressing"
REPLICA_FAILURE = "ReplicaFailure"

NEW_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"


def set_condition(status: Object, type: str, value: str, reason: str, message: str, now: datetime) -> None:
    """Write one condition. Same status and reason: nothing changes, not even the message."""
    listed = status.setdefault("conditions", [])
    old = conditions.find(listed, type)
    if old is not None and (old.get("status"), old.get("reason")) == (value, reason):
        return
    moment = time.format_time(now)
    moved = old["lastTransitionTime"] if old is not None and old.get("status") == value else moment
    status["conditions"] = [one for one in listed if one.get("type") != type]
    status["conditions"].append(
        {
            "type": type,
            "status": value,
            "lastUpdateTime": moment,
            "lastTransitionTime": moved,
            "reason": reason,
            "message": message,
        }
    )


def remove_condition(status: Object, type: str) -> None:
    """Take one condition away."""
    if "conditions" in status:
        status["conditions"] = [one for one in status["conditions"] if one.get("type") != type]


def count(deployment: Object, new: Object | None, sets: Sequence[Object], now: datetime) -> Object:
    """The counts, and whether enough pods are available."""

    def total(field: str) -> int:
        return sum(status_of(one).get(field) or 0 for one in sets)

    available, replicas = total("availableReplicas"), total("replicas")
    counts = {
        "replicas": replicas,
        "updatedReplicas": (status_of(new).get("replicas") or 0) if new is not None else 0,
        "readyReplicas": total("readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, replicas_wanted(sets) - available),
    }
    status: Object = {"observedGeneration": generation_of(deployment)}
    status |= {field: number for field, number in counts.items() if number}
    if all("terminatingReplicas" in status_of(one) for one in sets):  # else not all have been counted
        status["terminatingReplicas"] = total("terminatingReplicas")
    old = copy(status_of(deployment))
    for kept in ("collisionCount", "conditions"):
        if old.get(kept) is not None:
            status[kept] = old[kept]
    minimum = deployments.replicas_of(deployment) - deployments.max_unavailable(deployment)
    if available >= minimum:
        text = "Deployment has minimum availability."
        set_condition(status, AVAILABLE, "True", "MinimumReplicasAvailable", text, now)
    else:
        text = "Deployment does not have minimum availability."
        set_condition(status, AVAILABLE, "False", "MinimumReplicasUnavailable", text, now)
    return status


def replicas_wanted(sets: Sequence[Object]) -> int:
    """How many pods the ReplicaSets ask for together."""
    return sum((one.get("spec") or {}).get("replicas", 1) for one in sets)


def rollout(deployment: Object, new: Object | None, sets: Sequence[Object], now: datetime) -> Object:
    """The whole status while a rollout may be under way: counts, progress and failures."""
    status = count(deployment, new, sets, now)
    if deployments.progress_deadline_of(deployment) is None:
        remove_condition(status, PROGRESSING)
    else:
        _note_progress(deployment, new, status, now)
    _note_failures(new, sets, status)
    return status


def _note_progress(deployment: Object, new: Object | None, status: Object, now: datetime) -> None:
    current = conditions.find(status_of(deployment).get("conditions"), PROGRESSING)
    if (
        current is not None
        and current.get("reason") == NEW_AVAILABLE
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    ):
        return  # nothing is under way; scaling a finished rollout does not start it again
    subject = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    if deployments.is_complete(deployment, status):
        text = f"{subject} has successfully progressed."
        set_condition(status, PROGRESSING, "True", NEW_AVAILABLE, text, now)
    elif deployments.is_progressing(deployment, status):
        # Reason and status may be the same as before, the update time must move all the same.
        moved = current["lastTransitionTime"] if current and current.get("status") == "True" else None
        remove_condition(status, PROGRESSING)
        set_condition(status, PROGRESSING, "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if moved is not None:
            status["conditions"][-1]["lastTransitionTime"] = moved
    elif has_timed_out(deployment, status, now):
        set_condition(status, PROGRESSING, "False", TIMED_OUT, f"{subject} has timed out progressing.", now)


def has_timed_out(deployment: Object, status: Object, now: datetime) -> bool:
    """Has nothing moved for longer than the progress deadline?"""
    moment, failed = deployments.progress_timeout(deployment, status)
    return failed or (moment is not None and moment < now)


def _note_failures(new: Object | None, sets: Sequence[Object], status: Object) -> None:
    failure = _failure_of(new) or next((found for one in sets if (found := _failure_of(one))), None)
    if failure is None:
        remove_condition(status, REPLICA_FAILURE)
        return
    since = time.parse_time(failure["lastTransitionTime"])
    reason, message = failure.get("reason", ""), failure.get("message", "")
    set_condition(status, REPLICA_FAILURE, failure["status"], reason, message, since)


def _failure_of(replica_set: Object | None) -> Object | None:
    if replica_set is None:
        return None
    return conditions.find(status_of(replica_set).get("conditions"), REPLICA_FAILURE)


def paused_or_resumed(deployment: Object, now: datetime) -> Object | None:
    """The status with a note that the rollout was paused or resumed, if that is news."""
    if deployments.progress_deadline_of(deployment) is None:
        return None
    current = conditions.find(status_of(deployment).get("conditions"), PROGRESSING)
    reason = current.get("reason") if current is not None else None
    if reason == TIMED_OUT:
        return None
    status = copy(status_of(deployment))
    if deployments.is_paused(deployment) and reason != "DeploymentPaused":
        set_condition(status, PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused", now)
    elif not deployments.is_paused(deployment) and reason == "DeploymentPaused":
        set_condition(status, PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    else:
        return None
    return status
