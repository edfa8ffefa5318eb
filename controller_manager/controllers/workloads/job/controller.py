"""Job: start pods, count the finished ones once each, and know when it is over.

1. claim pods; those with the tracking finalizer still wait to be counted    (finalizers.py)
2. is it over? failure policy, backoff limit, deadline, success policy, completions     (ending.py, policies.py)
3. over: delete what still runs;  else: suspend, resume, start or stop pods  (pods.py; indexes.py for indexed jobs)
4. list finished pods in the status, take their finalizers off, count them
5. when everything is counted, the job is Complete or Failed
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence

from controller_manager import metrics
from controller_manager.adoption import candidates
from controller_manager.controllers.workloads.job import ending, finalizers, indexes, policies
from controller_manager.controllers.workloads.job import pods as job_pods
from controller_manager.controllers.workloads.job.finalizers import Ledger
from controller_manager.controllers.workloads.job.work import Pass
from controller_manager.pod_control import (
    BURST,
    failures_in,
    is_namespace_terminating,
    slow_start,
)
from controller_manager.pod_owner import PodOwner
from kubarium.api.batch import job as jobs
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors, owners, time
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    finalizers_of,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class JobController(PodOwner):
    """Runs pods to their end."""

    name = "job-controller"
    api_version, plural, kind = "batch/v1", "jobs", "Job"
    finalizer = jobs.TRACKING_FINALIZER

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 5
    ) -> None:
        self._released: dict[ObjectKey, set[str]] = {}  # uids whose finalizer we took off
        self._written: dict[ObjectKey, int] = {}  # the revision of our last write of each job
        self._setbacks: dict[ObjectKey, tuple[int, float]] = {}  # failures since the last success, last when
        super().__init__(client, informers, clock, events, workers=workers)

    def selector_of(self, owner: Object) -> Selector:
        return jobs.selector_of(owner)

    async def reconcile(self, key: ObjectKey) -> float | None:
        job = self.owners.get(key)
        if job is None:
            self.expectations.forget(key)
            self._released.pop(key, None)
            self._setbacks.pop(key, None)
            self._written.pop(key, None)
            await self._release_orphans(key)
            return None
        if not jobs.is_ours(job):
            return None
        if int(resource_version_of(job)) < self._written.get(key, 0):
            return None  # what we counted last is not in the cache yet; it will bring us back
        if jobs.is_finished(job) or is_deleting(job):
            await self._release_all(key, self._owned(job))  # also so that foreground deletion can end
            return None
        if not spec_of(job).get("selector"):
            return None
        began, result = self.clock.monotonic(), "error"
        try:
            again = await self._sync(key, job)
            result = "success"
            return again
        finally:
            labels = (_mode(job), result, "reconciling")
            metrics.JOB_SYNCS.add(labels)
            metrics.JOB_SYNC_SECONDS.observe(labels, self.clock.monotonic() - began)

    async def _sync(self, key: ObjectKey, job: Object) -> float | None:
        work = await self._look(job)
        may_act = self.expectations.met(key)
        ending.judge(work, self.clock.now())
        if may_act:
            await self._act(work)
        await self._count(work, stopped=may_act and work.outcome is not None)
        if work.failure is not None:
            raise work.failure
        return min(work.again) if work.again else None

    # ---- 1. look

    async def _look(self, job: Object) -> Pass:
        pods = await self.adoption.claim(job, jobs.selector_of(job), candidates(self.pods, job))
        waiting = finalizers.tracked(pods, self._released.get(key_of(job), set()))
        work = Pass(job, copy(status_of(job)), pods, waiting, finalizers.open_ledger(job))
        work.ledger.settle({uid_of(pod) for pod in waiting})
        work.active = [pod for pod in pods if pod_status.is_active(pod)]
        work.terminating = sum(1 for pod in pods if jobs.is_terminating(pod))
        if not work.status.get("startTime") and not jobs.is_suspended(job):
            work.status["startTime"] = time.format_time(self.clock.now())
        return work

    def _owned(self, job: Object) -> list[Object]:
        return self.pods.by_index("controller", uid_of(job))

    # ---- 3. act

    async def _act(self, work: Pass) -> None:
        if work.outcome is not None:
            if work.active:
                await self._delete(work, work.active, forgive=False)
                work.active = []
            return
        if jobs.is_suspended(work.job):
            if work.active:
                await self._delete(work, work.active, forgive=True)
                work.active = []
            if self._set_condition(work, jobs.SUSPENDED, "True", "JobSuspended", "Job suspended"):
                work.status.pop("startTime", None)  # the deadline begins anew when it goes on
                self.events.event(work.job, "Normal", "Suspended", "Job suspended")
            return
        known = conditions.find(work.status.get("conditions"), jobs.SUSPENDED)
        if known is not None and known.get("status") == "True":
            self._set_condition(work, jobs.SUSPENDED, "False", "JobResumed", "Job resumed")
            work.status["startTime"] = time.format_time(self.clock.now())
            self.events.event(work.job, "Normal", "Resumed", "Job resumed")
        await self._fill(work)

    async def _fill(self, work: Pass) -> None:
        """Start what is missing, stop what is too many."""
        job, parallelism = work.job, jobs.parallelism_of(work.job)
        completions = jobs.completions_of(job)
        fresh = work.fresh_successes()
        succeeded = work.ledger.total_succeeded + len(fresh)
        if jobs.is_indexed(job):
            done = {i for p in fresh if (i := jobs.index_of(p)) is not None and i < (completions or 0)}
            succeeded = len(work.ledger.completed | done)
        if completions is None:
            wanted = len(work.active) if succeeded > 0 else parallelism
        else:
            wanted = max(0, min(completions - succeeded - len(work.failed_indexes), parallelism))
        victims = job_pods.to_stop(work, len(work.active) - wanted, self.clock.now())
        if victims:
            await self._delete(work, victims, forgive=True)
            work.active = [pod for pod in work.active if pod not in victims]
            return
        leaving = work.terminating if jobs.replaces_only_failed(job) else 0
        missing = min(wanted - len(work.active) - leaving, BURST)
        if missing > 0:
            await self._create(work, missing)

    async def _create(self, work: Pass, count: int) -> None:
        job, key = work.job, key_of(work.job)
        pause = self._pause(work)
        if pause > 0:
            work.again.append(pause)
            return
        numbers: list[int | None] = [None] * count
        if jobs.is_indexed(job):
            numbers = list(job_pods.next_indexes(work, count, self.clock.now()))
            count = len(numbers)
        if not count:
            return
        self.expectations.expect(key, creations=count)
        made: list[Object] = []

        async def create(position: int) -> None:
            try:
                made.append(await self.control.create(job, job_pods.new_pod(work, numbers[position])))
            except errors.StatusError as error:
                if not is_namespace_terminating(error):
                    raise
                self.expectations.creation_observed(key)

        done, failure = await slow_start(count, create)
        for _ in range(count - done):
            self.expectations.creation_observed(key)
        work.active = [*work.active, *made]
        work.failure = failure

    def _pause(self, work: Pass) -> float:
        """Seconds to wait because pods have failed, unless each index waits for itself."""
        if jobs.backoff_limit_per_index_of(work.job) is not None:
            return 0.0
        key = key_of(work.job)
        ended = [pod for pod in work.waiting if jobs.has_failed(pod, work.job)]
        listed = set(work.ledger.listed_failed)
        fresh = [pod for pod in ended if uid_of(pod) not in listed]
        count, last = self._setbacks.get(key, (0, 0.0))
        count += len(fresh)
        last = max([last, *(jobs.ended_at(pod).timestamp() for pod in fresh)])
        if not count:
            return 0.0
        return job_pods.FAILURES.delay(count - 1) - (self.clock.now().timestamp() - last)

    async def _delete(self, work: Pass, victims: Sequence[Object], *, forgive: bool) -> None:
        """`forgive`: these pods must not count as failed, so they lose their finalizer before."""
        key = key_of(work.job)
        self.expectations.expect(key, deletions=[uid_of(pod) for pod in victims])

        async def delete(pod: Object) -> None:
            with self.expectations.deleting(key, uid_of(pod)):
                if forgive and jobs.is_tracked(pod):
                    await self._release(key, pod)
                await self.control.delete(work.job, pod)

        failures = failures_in(await asyncio.gather(*map(delete, victims), return_exceptions=True))
        work.terminating += len(victims) - len(failures)
        work.failure = failures[0] if failures else work.failure

    # ---- 4. count

    async def _count(self, work: Pass, *, stopped: bool) -> None:
        """`stopped`: the job is over and what still ran has been told to stop, so that it counts as failed."""
        key = key_of(work.job)
        listed = set(work.ledger.listed_failed)
        kept = job_pods.not_yet_replaced(work)
        waiting = [pod for pod in work.waiting if uid_of(pod) not in kept]
        release = finalizers.enter(work.ledger, work.job, waiting, work.ignored, fail_all=stopped)
        self._note_setbacks(key, work.ledger)
        for sort, pods in (("succeeded", work.ledger.new_succeeded), ("failed", work.ledger.new_failed)):
            if pods:
                metrics.JOB_PODS_FINISHED.add((_mode(work.job), sort), len(pods))
        _note_handled(work, [pod for pod in release if uid_of(pod) not in listed])
        if work.outcome is not None:
            self._set_condition(work, work.outcome.type, "True", work.outcome.reason, work.outcome.message)
        job = await self._write(work, work.job)
        if release:
            failures = failures_in(
                await asyncio.gather(*(self._release(key, pod) for pod in release), return_exceptions=True)
            )
            if failures:
                raise failures[0]
            work.ledger.settle({uid_of(pod) for pod in work.waiting} - {uid_of(pod) for pod in release})
        self._finish(work)
        await self._write(work, job)

    def _note_setbacks(self, key: ObjectKey, ledger: Ledger) -> None:
        count, last = self._setbacks.get(key, (0, 0.0))
        if ledger.new_succeeded:
            count = 0
        elif ledger.new_failed:
            count += len(ledger.new_failed)
            last = max(jobs.ended_at(pod).timestamp() for pod in ledger.new_failed)
        self._setbacks[key] = (count, last)

    async def _write(self, work: Pass, job: Object) -> Object:
        status = self._status(work)
        if status == status_of(job):
            return job
        changed = copy(job)
        changed["status"] = status
        written = await self.owner_client.update_status(changed)
        self._written[key_of(job)] = int(resource_version_of(written))
        return written

    def _status(self, work: Pass) -> Object:
        ledger, status = work.ledger, dict(work.status)
        ready = sum(1 for pod in work.active if pod_status.is_ready(pod))
        counts = {"active": len(work.active), "succeeded": ledger.succeeded, "failed": ledger.failed}
        for name, value in counts.items():
            if value:
                status[name] = value
            else:
                status.pop(name, None)
        status["ready"], status["terminating"] = ready, work.terminating
        status["uncountedTerminatedPods"] = ledger.listing()
        if jobs.is_indexed(work.job):
            for name, found in (
                ("completedIndexes", ledger.completed),
                ("failedIndexes", work.failed_indexes),
            ):
                if found:
                    status[name] = indexes.format(found)
        return status

    async def _release(self, key: ObjectKey, pod: Object) -> None:
        """Take the tracking finalizer off; raises Conflict when somebody else was faster, and must be tried again."""
        left = [one for one in finalizers_of(pod) if one != jobs.TRACKING_FINALIZER]
        patch = {"metadata": {"uid": uid_of(pod), "finalizers": left or None}}
        with contextlib.suppress(errors.NotFound):
            await self.pod_client.patch(name_of(pod), patch, namespace_of(pod))
        self._released.setdefault(key, set()).add(uid_of(pod))

    async def _release_all(self, key: ObjectKey, pods: Iterable[Object]) -> None:
        for pod in pods:
            if jobs.is_tracked(pod):
                await self._release(key, pod)

    async def _release_orphans(self, key: ObjectKey) -> None:
        """The job is gone: nobody will count its pods any more."""
        for pod in self.pods.list(key.namespace):
            owner = owners.controller_of(pod)
            if jobs.is_tracked(pod) and (
                owner is None or (owner.get("kind"), owner.get("name")) == ("Job", key.name)
            ):
                await self._release(key, pod)
        self._released.pop(key, None)

    # ---- 5. finish

    def _finish(self, work: Pass) -> None:
        """Everything is counted and nothing runs: say how it ended."""
        if work.outcome is None or work.ledger.listing() or work.terminating or work.active:
            return
        outcome = work.outcome
        if outcome.type == jobs.FAILURE_TARGET:
            self._set_condition(work, jobs.FAILED, "True", outcome.reason, outcome.message)
            self.events.event(work.job, "Warning", outcome.reason, outcome.message)
            metrics.JOBS_FINISHED.add((_mode(work.job), "failed", outcome.reason))
        else:
            if (most := jobs.completions_of(work.job)) is not None and work.ledger.succeeded > most:
                text = "Too many succeeded pods running after completion count reached"
                self.events.event(work.job, "Warning", "TooManySucceededPods", text)
            self._set_condition(work, jobs.COMPLETE, "True", outcome.reason, outcome.message)
            work.status["completionTime"] = time.format_time(self.clock.now())
            self.events.event(work.job, "Normal", "Completed", "Job completed")
            metrics.JOBS_FINISHED.add((_mode(work.job), "succeeded", ""))

    def _set_condition(self, work: Pass, type: str, status: str, reason: str, message: str) -> bool:
        listed = work.status.setdefault("conditions", [])
        known = conditions.find(listed, type)
        if known is not None and known.get("status") == status:
            return False
        new = {"type": type, "status": status, "reason": reason, "message": message}
        new["lastProbeTime"] = time.format_time(self.clock.now())
        return conditions.set_condition(listed, new, self.clock.now())

    # ---- what the cache shows

    def pod_appeared(self, pod: Object) -> None:
        super().pod_appeared(pod)
        _note_held(None, pod)

    def pod_changed(self, old: Object, new: Object) -> None:
        super().pod_changed(old, new)
        _note_held(old, new)
        if not jobs.is_tracked(new):
            self._forget_released(new)

    def pod_went(self, pod: Object) -> None:
        super().pod_went(pod)
        _note_held(pod, None)
        self._forget_released(pod)

    def _forget_released(self, pod: Object) -> None:
        owner = self.owner_of(pod)
        if owner is not None:
            self._released.get(key_of(owner), set()).discard(uid_of(pod))


def _note_handled(work: Pass, pods: Iterable[Object]) -> None:
    """Count the failed pods of which the failure policy says something."""
    policy = spec_of(work.job).get("podFailurePolicy")
    if not policy:
        return
    for pod in pods:
        if jobs.has_failed(pod, work.job):
            verdict = policies.judge(policy, pod)
            if verdict is not policies.NO_RULE:
                metrics.JOB_FAILURES_HANDLED.add((verdict.action,))


def _note_held(old: Object | None, new: Object | None) -> None:
    """Count pods that have ended and wait to be counted, when they begin to wait and when they are let go."""
    before, now = _is_held(old), _is_held(new)
    if before is not now:
        metrics.JOB_PODS_HELD.add(("add" if now else "delete",))


def _is_held(pod: Object | None) -> bool:
    return pod is not None and jobs.is_tracked(pod) and pod_status.is_terminal(pod)


def _mode(job: Object) -> str:
    return "Indexed" if jobs.is_indexed(job) else "NonIndexed"
