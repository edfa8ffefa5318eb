"""Events arrive, once each, even when the API server is away for a while."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from kubarium.apimachinery.object import Object
from kubarium.client.events import EventRecorder
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
