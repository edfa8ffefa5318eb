"""Which kinds the garbage collector follows while definitions come and go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller_manager.controllers.cleanup.garbage_collector import watcher
from controller_manager.controllers.cleanup.garbage_collector.graph import Graph
from controller_manager.controllers.cleanup.garbage_collector.watcher import Watcher
from kubarium.client.discovery import Discovered
from kubarium.client.fake import FakeAPI
from kubarium.client.informer import Informers
from kubarium.component_base.clock import FakeClock

VERBS = frozenset({"get", "list", "watch", "delete"})
MAPS = Discovered("", "v1", "configmaps", "ConfigMap", True, VERBS)
DOORS = Discovered("example.com", "v1", "doors", "Door", True, VERBS)


class Server:
    """Discovery, and caches of which that of doors is never filled: their definition is about to go."""

    def __init__(self, clock: FakeClock) -> None:
        self.kinds_served, self.read = [MAPS, DOORS], asyncio.Event()
        self._informers = Informers(FakeAPI(clock=clock).client(), clock)

    async def kinds(self, failures: list[str]) -> list[Discovered]:
        self.read.set()
        return list(self.kinds_served)

    def has(self, api_version: str, plural: str) -> bool:
        return False

    def informer(self, api_version: str, plural: str, **more: Any) -> Any:
        found = self._informers.informer(api_version, plural)
        if plural == "configmaps":
            found._synced.set()
        return found

    def forget(self, informer: Any) -> None: ...


async def test_what_goes_is_not_waited_for(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "MOMENT", 0.001)
    monkeypatch.setattr(watcher, "SYNC_SECONDS", 3600.0)
    server = Server(clock)
    follower = Watcher(server, server, Graph(), lambda look: None, clock)  # type: ignore[arg-type]
    filling = asyncio.ensure_future(follower.refresh())
    await server.read.wait()
    server.kinds_served.remove(DOORS)
    follower.look_soon()
    async with asyncio.timeout(60):
        await filling
    assert follower.served("", "ConfigMap") == MAPS and follower.served("example.com", "Door") is None


async def test_what_changes_while_lists_are_awaited_is_looked_at(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "MOMENT", 0.001)
    monkeypatch.setattr(watcher, "PERIOD", 3600.0)
    server = Server(clock)
    server.kinds_served.remove(DOORS)
    follower = Watcher(server, server, Graph(), lambda look: None, clock)  # type: ignore[arg-type]
    following = asyncio.ensure_future(follower.run())
    follower.look_soon()
    await clock.advance(1)
    async with asyncio.timeout(60):
        await server.read.wait()
        server.read.clear()
        follower.look_soon()  # the lists of this look have not been seen yet
        while not server.read.is_set():
            await clock.advance(1)
            await asyncio.sleep(0.001)
    following.cancel()
    await asyncio.wait([following])
