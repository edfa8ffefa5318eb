"""Cron jobs behind a cache that is late."""

from __future__ import annotations

import asyncio

from controller_manager.controllers.workloads.cron_job import CronJobController
from kubarium.apimachinery.object import Object, ObjectKey
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from tests.unit.controller_manager.cluster import Cluster, template

REFERENCE = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": "tick", "controller": True}
METADATA = {"name": "tick-1", "namespace": "default", "uid": "one", "ownerReferences": [REFERENCE]}
ONE: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": METADATA, "spec": {}}
CRON: Object = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "tick", "namespace": "default", "uid": "tick"},
    "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template()}}},
    "status": {"lastScheduleTime": "2026-01-01T00:00:00Z", "active": [{"name": "tick-1", "uid": "one"}]},
}


async def test_a_job_that_the_cache_does_not_know_yet_is_not_missing(cluster: Cluster) -> None:
    cluster.api.put(CRON)
    client = cluster.api.client()
    informers = Informers(client, cluster.clock)
    events = EventRecorder(client, "cronjob-controller", clock=cluster.clock)
    controller = CronJobController(client, informers, cluster.clock, events)
    following = asyncio.ensure_future(informers.run())
    await informers.synced()
    cluster.api.hold_back("jobs")
    cluster.api.put(ONE)

    async def active() -> list[str]:
        await controller.reconcile(ObjectKey("default", "tick"))
        status = cluster.api.get("batch/v1", "cronjobs", "default", "tick")["status"]
        return [one["uid"] for one in status.get("active", [])]

    assert await active() == ["one"]
    cluster.api.remove("batch/v1", "jobs", "default", "tick-1")
    assert await active() == []
    following.cancel()


async def test_what_a_schedule_does_not_say_is_told(cluster: Cluster) -> None:
    def put(name: str, **spec: str) -> None:
        metadata = {"name": name, "namespace": "default", "creationTimestamp": "2025-12-31T23:00:00Z"}
        cluster.api.put({**CRON, "metadata": metadata, "spec": {**CRON["spec"], **spec}, "status": {}})

    put("here", timeZone="Moon/Crater", schedule="* * * * *")
    put("never", schedule="0 26 * * *")
    put("old", schedule="TZ=UTC 0 0 1 2 *")
    await cluster.start("cronjob-controller")
    assert cluster.events("UnknownTimeZone") == [
        'invalid timeZone: "Moon/Crater": unknown time zone Moon/Crater'
    ]
    text = "end of range (26) above maximum (23): 26"
    assert cluster.events("UnparseableSchedule") == [f'unparseable schedule: "0 26 * * *" : {text}']
    (told,) = cluster.events("UnsupportedSchedule")
    assert told.startswith(
        'CRON_TZ or TZ used in schedule "TZ=UTC 0 0 1 2 *" is not officially supported, see '
    )
