"""`Job`: completions, indexes, limits, and what its pods carry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, labels, time
from kubarium.apimachinery.object import (
    Object,
    annotations_of,
    finalizers_of,
    is_deleting,
    labels_of,
    spec_of,
    status_of,
)

TRACKING_FINALIZER = "batch.kubernetes.io/job-tracking"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
JOB_NAME = "batch.kubernetes.io/job-name"
CONTROLLER_NAME = "kubernetes.io/job-controller"

COMPLETE, FAILED, SUSPENDED = "Complete", "Failed", "Suspended"
FAILURE_TARGET, SUCCESS_CRITERIA_MET = "FailureTarget", "SuccessCriteriaMet"

NO_LIMIT = 2**31 - 1


def is_ours(job: Object) -> bool:
    """Is the job left to the built-in controller?"""
    return (spec_of(job).get("managedBy") or CONTROLLER_NAME) == CONTROLLER_NAME


def selector_of(job: Object) -> labels.Selector:
    """Which pods belong to it."""
    return labels.from_label_selector(spec_of(job).get("selector"))


def generate_selector(job: Object) -> None:
    """Select pods by the job's uid and label the template so, unless the user wants to choose."""
    spec = spec_of(job)
    template = spec.get("template")
    if spec.get("manualSelector") or not template:
        return
    uid, name = job["metadata"]["uid"], job["metadata"].get("name") or ""
    metadata = template.get("metadata") or {}
    ours = {CONTROLLER_UID: uid, JOB_NAME: name, "controller-uid": uid, "job-name": name}
    given = metadata.get("labels") or {}
    shared = job["metadata"].get("labels") is given
    metadata["labels"] = {**given, **ours}
    if shared:  # a job that names no labels has those of its template, these too
        job["metadata"]["labels"] = dict(metadata["labels"])
    template["metadata"] = metadata
    selector = spec.get("selector") or {}
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), CONTROLLER_UID: uid}
    spec["selector"] = selector


def is_finished(job: Object) -> bool:
    """Complete or Failed, for good."""
    return conditions.is_true(job, COMPLETE) or conditions.is_true(job, FAILED)


def finished_at(job: Object) -> datetime | None:
    """When it became Complete or Failed."""
    for type in (COMPLETE, FAILED):
        condition = conditions.find(status_of(job).get("conditions"), type)
        if condition is not None and condition.get("status") == "True":
            return time.parse_time(condition["lastTransitionTime"])
    return None


def is_suspended(job: Object) -> bool:
    """Has somebody asked it to stop for now?"""
    return bool(spec_of(job).get("suspend"))


def is_indexed(job: Object) -> bool:
    """Does each pod have a number?"""
    return bool(spec_of(job).get("completionMode") == "Indexed")


def parallelism_of(job: Object) -> int:
    """How many pods may run at a time."""
    value = spec_of(job).get("parallelism")
    return 1 if value is None else int(value)


def completions_of(job: Object) -> int | None:
    """How many pods must succeed; None: any one, when all have ended."""
    value = spec_of(job).get("completions")
    return None if value is None else int(value)


def backoff_limit_of(job: Object) -> int:
    """How many failures are too many, less one."""
    value = spec_of(job).get("backoffLimit")
    if value is None:
        return NO_LIMIT if backoff_limit_per_index_of(job) is not None else 6
    return int(value)


def backoff_limit_per_index_of(job: Object) -> int | None:
    """The same for each index, if it is counted so."""
    value = spec_of(job).get("backoffLimitPerIndex")
    return None if value is None else int(value)


def replaces_only_failed(job: Object) -> bool:
    """Is a pod on its way out replaced only when it has ended?"""
    policy = spec_of(job).get("podReplacementPolicy")
    return bool(policy == "Failed" or (policy is None and spec_of(job).get("podFailurePolicy")))


def index_of(pod: Object) -> int | None:
    """The pod's number."""
    text = annotations_of(pod).get(COMPLETION_INDEX) or labels_of(pod).get(COMPLETION_INDEX) or ""
    return int(text) if text.isdigit() else None


def index_failures_of(pod: Object) -> tuple[int, int]:
    """How many pods of this index failed before this one: those that count, and those that were ignored."""
    texts = [annotations_of(pod).get(name) or "" for name in (INDEX_FAILURES, INDEX_IGNORED_FAILURES)]
    counted, ignored = (int(text) if text.isdigit() else 0 for text in texts)
    return counted, ignored


def is_tracked(pod: Object) -> bool:
    """Does the pod still wait to be counted?"""
    return TRACKING_FINALIZER in finalizers_of(pod)


def has_failed(pod: Object, job: Object) -> bool:
    """Does the pod count as failed? One on its way out does, unless only ended ones are to be counted."""
    if pod_status.phase_of(pod) == pod_status.FAILED:
        return True
    if spec_of(job).get("podFailurePolicy") or replaces_only_failed(job):
        return False
    return is_deleting(pod) and pod_status.phase_of(pod) != pod_status.SUCCEEDED


def has_succeeded(pod: Object) -> bool:
    """Does the pod count as succeeded?"""
    return pod_status.phase_of(pod) == pod_status.SUCCEEDED


def is_terminating(pod: Object) -> bool:
    """On its way out but not ended."""
    return is_deleting(pod) and not pod_status.is_terminal(pod)


def ended_at(pod: Object) -> datetime:
    """When the last container ended; else when the pod stopped being ready, was to be deleted, or was made."""
    states = [one.get("state") or {} for one in status_of(pod).get("containerStatuses") or []]
    moments: list[str] = [(state.get("terminated") or {}).get("finishedAt") or "" for state in states]
    if moments and all(moments):
        return max(map(time.parse_time, moments))
    ready = pod_status.condition(pod, pod_status.READY)
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return time.parse_time(ready["lastTransitionTime"])
    metadata = pod["metadata"]
    if "deletionTimestamp" in metadata:
        patience = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
        return time.parse_time(metadata["deletionTimestamp"]) - patience
    made = metadata.get("creationTimestamp")
    return time.parse_time(made) if made else datetime.fromtimestamp(0, UTC)


def total_restarts(pod: Object) -> int:
    """How often the containers of a pod were restarted, all together."""
    status = status_of(pod)
    listed = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return sum(one.get("restartCount") or 0 for one in listed)
