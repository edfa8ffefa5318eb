"""A running scheduler on an API server in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import RealClock
from scheduler.app import SchedulerApp
from scheduler.configuration import Configuration


class Cluster:
    """An API server, and a scheduler that follows it."""

    def __init__(self, api: FakeAPI, app: SchedulerApp) -> None:
        self.api, self.app = api, app

    def pod(self, name: str, namespace: str = "default") -> Object:
        return self.api.get("v1", "pods", namespace, name)

    def node_of(self, name: str, namespace: str = "default") -> str:
        return self.pod(name, namespace)["spec"].get("nodeName") or ""

    def condition(self, name: str) -> Object:
        found = self.pod(name)["status"].get("conditions") or []
        return next((c for c in found if c["type"] == "PodScheduled"), {})

    def events(self, reason: str) -> list[Object]:
        return [
            event for event in self.api.objects("events.k8s.io/v1", "events") if event["reason"] == reason
        ]

    async def until(self, true: Callable[[], object], seconds: float = 60.0) -> None:
        """Let everything run until something is so."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110 - what is waited for lives in another program
                await asyncio.sleep(0.002)


@pytest.fixture
def start() -> Callable[..., contextlib.AbstractAsyncContextManager[Cluster]]:
    """`async with start(*objects) as cluster:` runs a scheduler on these objects."""

    @contextlib.asynccontextmanager
    async def started(*objects: Object, configuration: Configuration | None = None) -> AsyncIterator[Cluster]:
        api = FakeAPI(*objects)
        app = SchedulerApp(api.client(), configuration or Configuration(), RealClock())
        works = [app.informers.run(), app.queue.run(), app.lead(), *(r.run() for r in app.recorders.values())]
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            yield Cluster(api, app)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            await app.close()
            for result in results:
                if isinstance(result, Exception):
                    raise result

    return started
