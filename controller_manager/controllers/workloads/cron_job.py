"""CronJob: due times → Jobs.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from controller_manager import metrics
from kubarium.api.batch import cron_job as crons
from kubarium.api.batch import job as jobs
from kubarium.apimachinery import conditions, errors, owners, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    is_deleting,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

SLACK = 0.1  # seconds; a start a moment early would belong to the time before
TOO_MANY_MISSED = 100
PAGE = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"


class CronJobController(Controller):
    """Makes a Job whenever one is due."""

    name = "cronjob-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 5
    ) -> None:
        self.workers, self.events = workers, events
        self.crons = informers.informer("batch/v1", "cronjobs").lister
        self.jobs = informers.informer("batch/v1", "jobs").lister
        self.cron_client = client.resource("batch/v1", "cronjobs")
        self.job_client = client.resource("batch/v1", "jobs")
        self._written: dict[ObjectKey, int] = {}  # the revision of our last write of each cron job
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("batch/v1", "cronjobs"), Watch("batch/v1", "jobs", keys=_owner)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        stored = self.crons.get(key)
        if stored is None:
            self._written.pop(key, None)
            return None
        if int(resource_version_of(stored)) < self._written.get(key, 0):
            return None  # what we started last is not in the cache yet; it will bring us back
        cron = copy(stored)
        children = [job for job in self.jobs.list(key.namespace) if owners.is_controlled_by(job, cron)]
        await self._forget_finished(cron, children)
        self._note_ended(cron, children)
        await self._forget_missing(cron, children)
        try:
            wait = await self._start_due(cron, children)
        finally:
            if status_of(cron) != status_of(stored):
                written = await self.cron_client.update_status(cron)
                self._written[key] = int(resource_version_of(written))
        return wait

    # ---- jobs that have ended

    async def _forget_finished(self, cron: Object, children: list[Object]) -> None:
        """Keep as many finished jobs as the history limits say, the newest."""
        succeeded = [job for job in children if conditions.is_true(job, jobs.COMPLETE)]
        failed = [job for job in children if conditions.is_true(job, jobs.FAILED)]
        keep_succeeded, keep_failed = crons.history_limits(cron)
        for listed, keep in ((succeeded, keep_succeeded), (failed, keep_failed)):
            listed.sort(key=lambda job: (status_of(job).get("startTime") or "", name_of(job)))
            for job in listed[: max(0, len(listed) - keep)]:
                await self._delete(cron, job)

    async def _delete(self, cron: Object, job: Object) -> None:
        try:
            await self.job_client.delete(name_of(job), namespace_of(job), propagation_policy="Background")
        except errors.NotFound:
            return
        except errors.StatusError as error:
            self.events.event(cron, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        _forget_active(cron, uid_of(job))
        self.events.event(cron, "Normal", "SuccessfulDelete", f"Deleted job {name_of(job)}")

    def _note_ended(self, cron: Object, children: Sequence[Object]) -> None:
        status = cron.setdefault("status", {})
        active = {reference.get("uid") for reference in status.get("active") or []}
        for job in children:
            if not jobs.is_finished(job):
                if uid_of(job) not in active:  # made by hand: the policy of concurrency does not mind it
                    text = f"Saw a job that the controller did not create or forgot: {name_of(job)}"
                    self.events.event(cron, "Warning", "UnexpectedJob", text)
                continue
            if uid_of(job) in active:
                _forget_active(cron, uid_of(job))
                how = jobs.COMPLETE if conditions.is_true(job, jobs.COMPLETE) else jobs.FAILED
                text = f"Saw completed job: {name_of(job)}, condition: {how}"
                self.events.event(cron, "Normal", "SawCompletedJob", text)
            ended = status_of(job).get("completionTime")
            if ended and ended > (status.get("lastSuccessfulTime") or ""):
                status["lastSuccessfulTime"] = ended

    async def _forget_missing(self, cron: Object, children: Sequence[Object]) -> None:
        """Jobs that are gone run no more. The API server is asked: a new one may not have reached the cache."""
        known = {uid_of(job) for job in children}
        for lost in [one for one in status_of(cron).get("active") or [] if one.get("uid") not in known]:
            try:
                found = await self.job_client.get(lost["name"], namespace_of(cron))
            except errors.NotFound:
                found = {}
            if not found or uid_of(found) != lost.get("uid"):
                text = f"Active job went missing: {lost['name']}"
                self.events.event(cron, "Normal", "MissingJob", text)
                _forget_active(cron, lost.get("uid"))

    # ---- jobs that are due

    async def _start_due(self, cron: Object, children: Sequence[Object]) -> float | None:
        if is_deleting(cron) or spec_of(cron).get("suspend"):
            return None
        now = self.clock.now()
        schedule = self._schedule_of(cron)
        if schedule is None:
            return None
        since = crons.earliest_start(cron, now)
        missed = crons.most_recent(schedule, since, now)
        following = schedule.after(now)
        wait = (following - now).total_seconds() + SLACK if following is not None else None
        if missed is None:
            return wait
        due, count = missed
        if count > TOO_MANY_MISSED:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self.events.event(cron, "Warning", "TooManyMissedTimes", text)
        if crons.is_too_late(cron, due, now):
            stamp = due.strftime("%a, %d %b %Y %H:%M:%S +0000")
            self.events.event(
                cron, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {stamp}"
            )
            return wait
        name = name_of(crons.job_for(cron, due))
        present = next((job for job in children if name_of(job) == name), None)
        if present is not None:  # started before the status could be written
            _note_started(cron, present, due)
        elif await self._may_start(cron, children):
            await self._start(cron, due)
        return wait

    def _schedule_of(self, cron: Object) -> crons.Schedule | None:
        """The schedule; None where it says nothing, which is told."""
        zone, text = spec_of(cron).get("timeZone"), spec_of(cron).get("schedule") or ""
        try:
            if zone:
                crons.zone_of(zone)
        except ValueError as error:
            note = f'invalid timeZone: "{zone}": {error}'
            self.events.event(cron, "Warning", "UnknownTimeZone", note)
            return None
        if "TZ" in text:
            note = f'CRON_TZ or TZ used in schedule "{text}" is not officially supported, see {PAGE} for more details'
            self.events.event(cron, "Warning", "UnsupportedSchedule", note)
        try:
            return crons.schedule_of(cron)
        except ValueError as error:
            self.events.event(
                cron, "Warning", "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}'
            )
            return None

    async def _may_start(self, cron: Object, children: Sequence[Object]) -> bool:
        active = status_of(cron).get("active") or []
        policy = spec_of(cron).get("concurrencyPolicy") or "Allow"
        if policy == "Forbid" and active:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self.events.event(cron, "Normal", "JobAlreadyActive", text)
            return False
        if policy == "Replace":
            for job in [job for job in children if any(r.get("uid") == uid_of(job) for r in active)]:
                await self._delete(cron, job)
        return True

    async def _start(self, cron: Object, due: datetime) -> None:
        job = crons.job_for(cron, due)
        try:
            created = await self.job_client.create(job)
        except errors.AlreadyExists:
            existing = await self.job_client.get(name_of(job), namespace_of(job))
            if owners.is_controlled_by(existing, cron):  # ours, from before the status was written
                created = existing
            else:
                return
        except errors.StatusError as error:
            if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
                return
            self.events.event(cron, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        else:
            self.events.event(cron, "Normal", "SuccessfulCreate", f"Created job {name_of(created)}")
            metrics.CRON_JOB_SKEW.observe((), (self.clock.now() - due).total_seconds())
        _note_started(cron, created, due)


def _owner(job: Object) -> Iterable[ObjectKey]:
    owner = owners.controller_of(job)
    if owner is None or owner.get("kind") != "CronJob":
        return ()
    return (ObjectKey(namespace_of(job), owner["name"]),)


def _reference(job: Object) -> Object:
    return {
        "kind": "Job",
        "namespace": namespace_of(job),
        "name": name_of(job),
        "uid": uid_of(job),
        "apiVersion": "batch/v1",
        "resourceVersion": job["metadata"].get("resourceVersion"),
    }


def _note_started(cron: Object, job: Object, due: datetime) -> None:
    status = cron.setdefault("status", {})
    known = any(one.get("uid") == uid_of(job) for one in status.get("active") or [])
    if not known and not jobs.is_finished(job):
        status["active"] = [*(status.get("active") or []), _reference(job)]
    status["lastScheduleTime"] = time.format_time(due)


def _forget_active(cron: Object, uid: str) -> None:
    status = cron.setdefault("status", {})
    left = [one for one in status.get("active") or [] if one.get("uid") != uid]
    if left:
        status["active"] = left
    else:
        status.pop("active", None)
