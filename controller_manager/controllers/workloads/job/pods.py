"""Which pods of a job to make next, how they look, and which may go first. Pure: it reads a pass and the time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from controller_manager.controllers.workloads.job import indexes
from controller_manager.controllers.workloads.job.work import Pass
from kubarium.api.batch import job as jobs
from kubarium.api.core.pod import deletion_order
from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.template import pod_from
from kubarium.apimachinery import names, owners
from kubarium.apimachinery.object import Object, copy, labels_of, name_of, spec_of, uid_of
from kubarium.component_base.backoff import Backoff

FAILURES = Backoff(initial=10.0, maximum=600.0)  # between replacements of failed pods
LABEL_FIELD = f"metadata.labels['{jobs.COMPLETION_INDEX}']"


def to_stop(work: Pass, surplus: int, now: datetime) -> list[Object]:
    """Pods that are too many, the least useful first; of an indexed job also all whose index nobody needs."""
    ordered = deletion_order.in_order(work.active, work.active, now)
    if not jobs.is_indexed(work.job):
        return ordered[: max(0, surplus)]
    needed: dict[int, Object] = {}
    for pod in reversed(ordered):  # of several with one index the most useful is needed
        index = jobs.index_of(pod)
        if index is not None and index < (jobs.completions_of(work.job) or 0):
            needed.setdefault(index, pod)
    kept = {uid_of(pod) for pod in needed.values()}
    ordered.sort(key=lambda pod: uid_of(pod) in kept)
    return ordered[: max(surplus, len(ordered) - len(kept))]


def next_indexes(work: Pass, count: int, now: datetime) -> Iterable[int]:
    """So many indexes that nobody works on and that need not wait; when the others may start is noted in the pass."""
    completions = jobs.completions_of(work.job) or 0
    taken = work.ledger.completed | work.failed_indexes
    busy = [pod for pod in work.pods if not pod_status.is_terminal(pod)]
    if not jobs.replaces_only_failed(work.job):
        busy = work.active
    taken |= {index for pod in busy if (index := jobs.index_of(pod)) is not None}
    taken |= {i for p in work.pods if jobs.has_succeeded(p) and (i := jobs.index_of(p)) is not None}
    found = 0
    for index in indexes.free(completions, taken):
        if found == count:
            return
        wait = _index_pause(work, index, now)
        if wait > 0:
            work.again.append(wait)
        else:
            found += 1
            yield index


def _index_pause(work: Pass, index: int, now: datetime) -> float:
    """With a limit for each index, each index backs off for itself."""
    if jobs.backoff_limit_per_index_of(work.job) is None:
        return 0.0
    last = work.last_failed.get(index)
    if last is None:
        return 0.0
    return FAILURES.delay(sum(jobs.index_failures_of(last))) - (now - jobs.ended_at(last)).total_seconds()


def not_yet_replaced(work: Pass) -> set[str]:
    """Uids of failed pods that stay until their index has a new pod: it learns from them how often it has failed."""
    if jobs.backoff_limit_per_index_of(work.job) is None or work.outcome is not None:
        return set()
    done = [*work.active, *work.fresh_successes()]
    over = work.ledger.completed | work.failed_indexes | {jobs.index_of(pod) for pod in done}
    completions = jobs.completions_of(work.job) or 0
    return {
        uid_of(last) for index, last in work.last_failed.items() if index < completions and index not in over
    }


def new_pod(work: Pass, index: int | None) -> Object:
    """A pod of the job; with an index it has a name, a host name and a variable that tell it."""
    job = work.job
    reference = owners.owner_reference_to(job, api_version="batch/v1", kind="Job")
    ending = "-" if index is None else f"-{index}-"  # never cut off
    prefix = name_of(job)[: names.LONGEST_BASE - len(ending)] + ending
    pod = pod_from(spec_of(job)["template"], reference, prefix)
    metadata = pod["metadata"]
    metadata["finalizers"] = [*(metadata.get("finalizers") or []), jobs.TRACKING_FINALIZER]
    if index is not None:
        metadata["labels"] = {**labels_of(pod), jobs.COMPLETION_INDEX: str(index)}
        metadata["annotations"] = {
            **(metadata.get("annotations") or {}),
            jobs.COMPLETION_INDEX: str(index),
        }
        pod["spec"]["hostname"] = f"{name_of(job)}-{index}"
        _add_index_variable(pod["spec"])
        if jobs.backoff_limit_per_index_of(job) is not None:
            _tell_failures(work, index, metadata["annotations"])
    return pod


def _tell_failures(work: Pass, index: int, annotations: Object) -> None:
    """How often the index has failed, with the pod that is replaced now."""
    failures, ignored = 0, 0
    last = work.last_failed.get(index)
    if last is not None:
        failures, ignored = jobs.index_failures_of(last)
        counts = uid_of(last) not in work.ignored
        failures, ignored = failures + counts, ignored + (not counts)
    annotations[jobs.INDEX_FAILURES] = str(failures)
    if ignored:
        annotations[jobs.INDEX_IGNORED_FAILURES] = str(ignored)


def _add_index_variable(spec: Object) -> None:
    """Let every container know its number."""
    variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": LABEL_FIELD}}}
    for kind in ("initContainers", "containers"):
        for container in spec.get(kind) or []:
            listed = container.get("env") or []
            if not any(one.get("name") == variable["name"] for one in listed):
                container["env"] = [*listed, copy(variable)]
