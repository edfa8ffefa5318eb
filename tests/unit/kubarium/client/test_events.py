"""Events arrive, once each, even when the API server is away for a while."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kubarium.apimachinery.object import Object
from kubarium.client.events import BURST, EventRecorder
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock

POD: Object = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a", "namespace": "default", "uid": "u"},
}


async def test_an_event_waits_for_the_api_server(clock: FakeClock) -> None:
    api = FakeAPI(clock=clock)
    api.away = "refuses"
    async with api.client() as client:
        recorder = EventRecorder(client, "kubelet", "node-1", clock)
        sending = asyncio.create_task(recorder.run())
        recorder.event(POD, "Normal", "Started", "Container started")
        await clock.advance(30)
        recorder.event(POD, "Normal", "Started", "Container started")
        api.away = ""
        await clock.advance(15)
        (event,) = api.objects("v1", "events")
        said = event["count"], event["firstTimestamp"], event["lastTimestamp"]
        assert said == (2, "2026-01-01T00:00:00Z", "2026-01-01T00:00:30Z")
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def test_what_differs_only_in_its_words_is_told_together(clock: FakeClock) -> None:
    """Nine are told each for itself; from the tenth on they share an event. Ten minutes of silence end that."""
    api = FakeAPI(clock=clock)
    async with api.client() as client:
        recorder = EventRecorder(client, "replicaset-controller", "", clock)
        sending = asyncio.create_task(recorder.run())

        async def told(reason: str) -> list[tuple[str, int]]:
            await recorder.flush()
            found = [one for one in api.objects("v1", "events") if one["reason"] == reason]
            return [(one["message"], one["count"]) for one in found]

        for number in range(1, 13):
            recorder.event(POD, "Normal", "Created", f"Created pod {number}")
        recorder.event(POD, "Normal", "Killed", "Something else")
        single = [(f"Created pod {number}", 1) for number in range(1, 10)]
        together = ("(combined from similar events): Created pod 12", 3)
        assert await told("Created") == [*single, together]
        assert await told("Killed") == [("Something else", 1)]
        await clock.advance(BURST * 300)
        recorder.event(POD, "Normal", "Created", "Created pod 13")
        recorder.event(POD, "Normal", "Killed", "Something else")
        assert await told("Created") == [*single, together, ("Created pod 13", 1)]
        assert await told("Killed") == [("Something else", 2)]
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
