"""What admission knows of namespaces while its caches are late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apiserver.admission.namespaces import BELIEVED, InNamespace, Namespaces
from apiserver.admission.plugin import CREATE, Attributes
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource
from kubarium.apimachinery.object import name_of
from kubarium.client.fake import FakeAPI
from kubarium.client.informer import Informers
from kubarium.component_base.clock import FakeClock


class World:
    """An API server in memory, and caches of it that hear nothing of what is made later."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.api = clock, FakeAPI()
        self.client = self.api.client()
        self.informers = Informers(self.client, clock)
        self.namespaces = Namespaces(self.client, self.informers)
        self.quotas = InNamespace(self.client, self.informers, clock, "resourcequotas")

    async def quotas_of(self, namespace: str) -> list[str]:
        return [name_of(one) for one in await self.quotas.all(namespace)]


@pytest.fixture
async def world(clock: FakeClock) -> AsyncIterator[World]:
    found = World(clock)
    following = asyncio.ensure_future(found.informers.run())
    for plural in ("namespaces", "resourcequotas"):
        await found.informers.informer("v1", plural).synced()
        found.api.hold_back(plural)
    yield found
    following.cancel()
    await asyncio.wait([following])


def quota(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "a"}}


def write_into(namespace: str) -> Attributes:
    kind, resource = GroupVersionKind("", "v1", "ConfigMap"), GroupVersionResource("", "v1", "configmaps")
    return Attributes(None, CREATE, kind, resource, "", namespace, "x", {}, None)  # type: ignore[arg-type]


async def test_a_namespace_that_was_just_made_has_its_labels(world: World) -> None:
    world.api.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "labels": {"b": "c"}}})
    found = await world.namespaces.of(write_into("a"))
    assert found is not None and found["metadata"]["labels"] == {"b": "c"}
    assert await world.namespaces.of(write_into("none")) is None


async def test_a_quota_that_was_just_made_counts(world: World) -> None:
    world.api.put(quota("first"))
    assert await world.quotas_of("a") == ["first"]


async def test_that_there_is_none_is_believed_for_a_while(world: World) -> None:
    assert await world.quotas_of("a") == []
    world.api.put(quota("first"))
    assert await world.quotas_of("a") == []  # somebody must tell the cache, or the time must pass
    world.quotas.forget("a")
    assert await world.quotas_of("a") == ["first"]
    world.api.remove("v1", "resourcequotas", "a", "first")
    await world.clock.advance(BELIEVED)
    assert await world.quotas_of("a") == []
    world.api.put(quota("first"))
    await world.clock.advance(BELIEVED)
    assert await world.quotas_of("a") == ["first"]


async def test_what_was_there_and_is_gone_does_not_count(world: World) -> None:
    world.api.put(quota("first"))
    assert await world.quotas_of("a") == ["first"]
    informer = world.informers.informer("v1", "resourcequotas")
    world.api.let_through("resourcequotas")
    while not informer.lister.list("a"):  # noqa: ASYNC110  the cache tells nobody
        await asyncio.sleep(0)
    assert await world.quotas_of("a") == ["first"]
    world.api.remove("v1", "resourcequotas", "a", "first")
    while informer.lister.list("a"):  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await world.quotas_of("a") == []
