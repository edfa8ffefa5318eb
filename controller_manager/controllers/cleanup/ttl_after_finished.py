"""Finished Jobs with `ttlSecondsAfterFinished` go when that time is over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from kubarium.api.batch import job as jobs
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey, is_deleting, key_of, spec_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)


class TTLAfterFinishedController(Controller):
    """Deletes finished Jobs in the foreground."""

    name = "ttl-after-finished-controller"
    queue_name = "ttl_jobs_to_delete"

    def __init__(self, client: Client, informers: Informers, clock: Clock, *, workers: int = 5) -> None:
        self.workers = workers
        self.jobs = informers.informer("batch/v1", "jobs").lister
        self.resource = client.resource("batch/v1", "jobs")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("batch/v1", "jobs", keys=_if_it_expires)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        job = self.jobs.get(key)
        if job is None or is_deleting(job):
            return None
        wait = self._seconds_left(job)
        if wait is None or wait > 0:
            return wait
        try:
            fresh = await self.resource.get(key.name, key.namespace)  # the wish may have changed meanwhile
            wait = self._seconds_left(fresh)
            if wait is None or wait > 0:
                return wait
            log.info("deleting job %s, finished long enough ago", key)
            await self.resource.delete(
                key.name,
                key.namespace,
                propagation_policy="Foreground",
                preconditions={"uid": uid_of(fresh)},
            )
        except errors.NotFound:
            return None
        return None

    def _seconds_left(self, job: Object) -> float | None:
        ttl, finished = spec_of(job).get("ttlSecondsAfterFinished"), jobs.finished_at(job)
        if ttl is None or finished is None:
            return None
        return (finished + timedelta(seconds=ttl) - self.clock.now()).total_seconds()


def _if_it_expires(job: Object) -> Iterable[ObjectKey]:
    if spec_of(job).get("ttlSecondsAfterFinished") is None or not jobs.is_finished(job):
        return ()
    return (key_of(job),)
