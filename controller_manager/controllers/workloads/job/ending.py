"""Is a job over, and how? Pure: it reads a pass and the time.

In this order: what was decided before, the failure policy, the backoff limit, the deadline, failed indexes, the success
policy, completions.
Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from controller_manager.controllers.workloads.job import indexes, policies
from controller_manager.controllers.workloads.job.work import Outcome, Pass
from kubarium.api.batch import job as jobs
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, spec_of, uid_of


def judge(work: Pass, now: datetime) -> None:
    """Write into the pass how the job ends, if it does, which indexes have failed and which failures do not count."""
    stored = work.status.get("conditions")
    for type in (jobs.FAILURE_TARGET, jobs.SUCCESS_CRITERIA_MET):
        known = conditions.find(stored, type)
        if known is not None and known.get("status") == "True":
            work.outcome = Outcome(type, known.get("reason") or "", known.get("message") or "")
            return
    failed = [pod for pod in work.pods if jobs.has_failed(pod, work.job)]
    tracked = [pod for pod in work.waiting if jobs.has_failed(pod, work.job)]
    fatal = _apply_failure_policy(work, failed)
    _find_failed_indexes(work, failed)
    work.outcome = fatal or _limits(work, tracked, now) or _success(work)


def _apply_failure_policy(work: Pass, failed: Iterable[Object]) -> Outcome | None:
    policy = spec_of(work.job).get("podFailurePolicy")
    for pod in failed:
        verdict = policies.judge(policy, pod)
        if verdict.action == policies.FAIL_JOB:
            return Outcome(jobs.FAILURE_TARGET, "PodFailurePolicy", verdict.message)
        if verdict.action == policies.IGNORE:
            work.ignored.add(uid_of(pod))
        index = jobs.index_of(pod)
        if verdict.action == policies.FAIL_INDEX and index is not None:
            work.failed_indexes.add(index)
    return None


def _find_failed_indexes(work: Pass, failed: Iterable[Object]) -> None:
    limit = jobs.backoff_limit_per_index_of(work.job)
    if limit is None or not jobs.is_indexed(work.job):
        return
    completions = jobs.completions_of(work.job)
    work.failed_indexes |= indexes.parse(work.status.get("failedIndexes") or "", completions)
    for pod in failed:
        index = jobs.index_of(pod)
        if index is None or uid_of(pod) in work.ignored:
            continue
        if jobs.index_failures_of(pod)[0] >= limit:
            work.failed_indexes.add(index)
    work.failed_indexes &= set(range(completions or 0)) - work.ledger.completed


def _limits(work: Pass, tracked_failed: Sequence[Object], now: datetime) -> Outcome | None:
    job = work.job
    listed = set(work.ledger.listed_failed)
    fresh = [p for p in tracked_failed if uid_of(p) not in listed and uid_of(p) not in work.ignored]
    failures = work.ledger.total_failed + len(fresh)
    limit = jobs.backoff_limit_of(job)
    if failures > limit or _restarted_too_often(work, limit):
        text = "Job has reached the specified backoff limit"
        return Outcome(jobs.FAILURE_TARGET, "BackoffLimitExceeded", text)
    deadline = spec_of(job).get("activeDeadlineSeconds")
    start = work.status.get("startTime")
    if deadline is not None and start and not jobs.is_suspended(job):
        left = time.parse_time(start) + timedelta(seconds=deadline) - now
        if left.total_seconds() <= 0:
            text = "Job was active longer than specified deadline"
            return Outcome(jobs.FAILURE_TARGET, "DeadlineExceeded", text)
        work.again.append(left.total_seconds() + 0.001)
    most = spec_of(job).get("maxFailedIndexes")
    if most is not None and len(work.failed_indexes) > most:
        text = "Job has exceeded the specified maximal number of failed indexes"
        return Outcome(jobs.FAILURE_TARGET, "MaxFailedIndexesExceeded", text)
    return None


def _restarted_too_often(work: Pass, limit: int) -> bool:
    template = spec_of(spec_of(work.job).get("template") or {})
    if template.get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(map(jobs.total_restarts, work.active))
    return restarts > 0 if limit == 0 else restarts >= limit


def _success(work: Pass) -> Outcome | None:
    job, completions = work.job, jobs.completions_of(work.job)
    indexed = jobs.is_indexed(job)
    done = set(work.ledger.completed)
    fresh = work.fresh_successes()
    if indexed and completions is not None:
        done |= {i for pod in fresh if (i := jobs.index_of(pod)) is not None and i < completions}
        if work.failed_indexes and len(done | work.failed_indexes) >= completions:
            return Outcome(jobs.FAILURE_TARGET, "FailedIndexes", "Job has failed indexes")
        rule = policies.matched_success_rule(job, done)
        if rule is not None:
            text = f"Matched rules at index {rule}"
            return Outcome(jobs.SUCCESS_CRITERIA_MET, "SuccessPolicy", text)
    count = len(done) if indexed else work.ledger.total_succeeded + len(fresh)
    text = "Reached expected number of succeeded pods"
    if completions is None:
        if count > 0 and not work.active:
            return Outcome(jobs.SUCCESS_CRITERIA_MET, "CompletionsReached", text)
    elif count >= completions and not work.active:
        return Outcome(jobs.SUCCESS_CRITERIA_MET, "CompletionsReached", text)
    return None
