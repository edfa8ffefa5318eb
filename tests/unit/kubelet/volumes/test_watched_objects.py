"""What pods here use of the API server, and what becomes of it while the API server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from kubelet.volumes.watched_objects import TTL, TokenManager, WatchedObjects
from tests.unit.kubelet.making import make_pod


def config_map(text: str) -> Object:
    metadata = {"name": "a", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text}}


@pytest.fixture
async def api(clock: FakeClock) -> FakeAPI:
    return FakeAPI(config_map("old"), clock=clock)


@pytest.fixture
async def objects(api: FakeAPI, clock: FakeClock) -> AsyncIterator[WatchedObjects]:
    async with api.client() as client:
        yield WatchedObjects(client, clock)


async def text_of(objects: WatchedObjects, clock: FakeClock) -> str | None:
    asked = asyncio.ensure_future(objects.fetch("ConfigMap", "default", "a"))
    while not asked.done():
        await clock.advance(0.5)
    found = await asked
    return found["data"]["text"] if found is not None else None


@pytest.mark.parametrize("away", ["refuses", "hangs"])
async def test_it_is_as_it_was_while_the_api_server_is_away(
    api: FakeAPI, objects: WatchedObjects, clock: FakeClock, away: str
) -> None:
    assert await text_of(objects, clock) == "old"
    api.put(config_map("new"))
    api.away = away
    for _ in range(3):
        await clock.advance(TTL + 1)
        before = clock.monotonic()
        assert await text_of(objects, clock) == "old"
        assert clock.monotonic() - before <= 1.5
    api.away = ""
    await clock.advance(TTL + 1)
    assert await text_of(objects, clock) == "new"
    api.remove("v1", "configmaps", "default", "a")
    await clock.advance(TTL + 1)
    assert await text_of(objects, clock) is None


async def test_what_was_never_seen_is_not_made_up(
    api: FakeAPI, objects: WatchedObjects, clock: FakeClock
) -> None:
    api.away = "refuses"
    with pytest.raises(OSError, match="away"):
        await text_of(objects, clock)


async def test_a_token_is_used_until_it_ends_when_it_cannot_be_renewed(clock: FakeClock) -> None:
    api = FakeAPI(clock=clock)
    async with api.client() as client:
        tokens = TokenManager(client, clock)
        end = time.format_time(clock.now().replace(hour=1))
        tokens._tokens["uid-1", "", 3600] = {"token": "t", "expirationTimestamp": end}, 0.0  # it is due
        api.away = "refuses"
        assert await tokens.token(make_pod(), "", 3600) == "t"
        await clock.advance(3600)
        with pytest.raises(OSError, match="away"):
            await tokens.token(make_pod(), "", 3600)
