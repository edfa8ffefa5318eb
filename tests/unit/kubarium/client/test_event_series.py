"""What is done again in the same way becomes a series, which is written when it begins and when it is over."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kubarium.apimachinery.object import Object
from kubarium.client.event_series import FINISH, SeriesRecorder
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default", "uid": "u", "resourceVersion": "7"},
}


async def test_the_same_done_again_is_a_series(clock: FakeClock) -> None:
    api = FakeAPI(clock=clock)
    async with api.client() as client:
        recorder = SeriesRecorder(client, "default-scheduler", clock)
        work = [asyncio.create_task(recorder.run()), asyncio.create_task(recorder.tidy())]
        await clock.advance(0)

        async def told() -> list[tuple[str, int]]:
            await recorder.flush()
            found = api.objects("events.k8s.io/v1", "events")
            return [(one["note"], (one.get("series") or {}).get("count", 1)) for one in found]

        recorder.event(POD, "Warning", "FailedScheduling", "Scheduling", "no node")
        assert await told() == [("no node", 1)]
        for _ in range(3):
            await clock.advance(1)
            recorder.event(POD, "Warning", "FailedScheduling", "Scheduling", "in other words")
        assert await told() == [("no node", 2)]
        await clock.advance(2 * FINISH)
        assert await told() == [("no node", 4)]
        recorder.event(POD, "Warning", "FailedScheduling", "Scheduling", "much later")
        changed = {**POD, "metadata": {**POD["metadata"], "resourceVersion": "8"}}
        recorder.event(changed, "Warning", "FailedScheduling", "Scheduling", "another state")
        assert sorted(await told()) == [("another state", 1), ("much later", 1), ("no node", 4)]
        for task in work:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_event_says_who_did_what_with_whom(clock: FakeClock) -> None:
    api = FakeAPI(clock=clock)
    preemptor = {**POD, "metadata": {"name": "b", "namespace": "default", "uid": "v"}}
    async with api.client() as client:
        recorder = SeriesRecorder(client, "default-scheduler", clock)
        recorder.event(POD, "Normal", "Preempted", "Preempting", "Preempted by b", preemptor)
        task = asyncio.create_task(recorder.run())
        await recorder.flush()
        task.cancel()
        (event,) = api.objects("events.k8s.io/v1", "events")
    assert event["regarding"] == {"apiVersion": "v1", "kind": "Pod"} | POD["metadata"]
    assert event["related"]["name"] == "b"
    assert event["action"] == "Preempting" and event["reportingController"] == "default-scheduler"
    assert event["reportingInstance"].startswith("default-scheduler-")
    assert event["eventTime"] == "2026-01-01T00:00:00.000000Z"
    assert not {"series", "deprecatedSource", "deprecatedCount"} & event.keys()
