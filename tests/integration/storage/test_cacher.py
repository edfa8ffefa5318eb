"""The cacher over a real etcd: what happens when etcd goes away, forgets, or is shared."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from apiserver.storage.cacher import Cacher
from apiserver.storage.compaction import Compactor
from apiserver.storage.etcd import EtcdStorage
from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.interface import KeyNotFound, RevisionCompacted, StorageUnavailable
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.grpc_channel import Channel
from tests.integration.running import free_port
from tests.integration.storage.etcd import Etcd

MAPS = "/registry/configmaps/"


@pytest.fixture
async def etcd() -> AsyncIterator[Etcd]:
    server = Etcd()
    await server.start()
    yield server
    await server.remove()


@contextlib.asynccontextmanager
async def cacher_over(*urls: str) -> AsyncIterator[Cacher]:
    client = EtcdClient(urls)
    cacher = Cacher(EtcdStorage(client))
    following = asyncio.create_task(cacher.run())
    await cacher.filled()
    yield cacher
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    await client.close()


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata, "data": data}


def key(name: str) -> str:
    return f"{MAPS}default/{name}"


def set_to(value: str) -> Callable[[dict[str, Any], int], dict[str, Any]]:
    return lambda obj, revision: obj | {"data": {"x": value}}


async def test_a_restart_of_etcd_loses_no_event(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one, cacher_over(etcd.url) as other:
        start = (await one.create(key("a"), config_map("a"))).revision
        watch = await one.watch(MAPS, after_revision=start)
        await etcd.kill()
        with pytest.raises(StorageUnavailable):
            await one.create(key("b"), config_map("b"))
        await etcd.start()
        revisions = [(await other.update(key("a"), set_to(str(at)))).revision for at in range(50)]
        seen: list[int] = []
        async with asyncio.timeout(60):
            async for batch in watch:
                seen += [change.revision for change in batch]
                if len(seen) == 50:
                    break
        assert seen == revisions
        assert (await one.get(key("a"))).obj["data"] == {"x": "49"}


async def test_what_was_missed_and_compacted_is_listed_anew(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        start = (await one.create(key("a"), config_map("a"))).revision
        await one.create(key("gone"), config_map("gone"))
        watch = await one.watch(MAPS, after_revision=start)
        client = EtcdClient([etcd.url])
        endpoint = one._etcd.client._endpoints[0]
        watches, endpoint.watches = (
            endpoint.watches,
            Channel("http://127.0.0.1:1"),
        )  # nobody is there for a while
        await etcd.kill()
        await etcd.start()
        direct = EtcdStorage(client)
        await direct.delete(key("gone"))
        newest = (await direct.update(key("a"), set_to("new"))).revision
        await client.compact(newest)
        endpoint.watches = watches
        async with asyncio.timeout(60):
            changes = [change async for batch in watch for change in batch]  # the watch ends
            assert newest not in {change.revision for change in changes}
            with pytest.raises(RevisionCompacted):
                await one.watch(MAPS, after_revision=start)
            assert (await one.get(key("a"))).obj["data"] == {"x": "new"}
            with pytest.raises(KeyNotFound):
                await one.get(key("gone"))
        await client.close()


async def test_a_fresh_server_knows_what_happened_before_it_came(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        start = (await one.create(key("a"), config_map("a", x="0"))).revision
        await one.create(key("gone"), config_map("gone"))
        await one.update(key("a"), set_to("1"))
        await one.delete(key("gone"))
        last = (await one.update(key("a"), set_to("2"))).revision
        stranger = EtcdClient([etcd.url])
        newest = (await stranger.create("/zoo", b"foreign")).revision
        await stranger.close()
        async with asyncio.timeout(20), cacher_over(etcd.url) as fresh:
            assert await fresh.current_revision() >= newest
            watch = await fresh.watch(MAPS, after_revision=start)
            seen = [
                (change.revision, change.previous is None, change.current is None) for change in watch.take()
            ]
            assert [(added, deleted) for _, added, deleted in seen] == [
                (True, False),
                (False, False),
                (False, True),
                (False, False),
            ]
            assert seen[-1][0] == last
            past = await fresh.list(MAPS, exact_revision=start)
            assert [item.obj["data"] for item in past.items] == [{"x": "0"}]
            watch.close()


async def test_a_fresh_server_looks_back_as_far_as_etcd_remembers(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        start = (await one.create(key("a"), config_map("a", x="0"))).revision
        compactor = Compactor(one._etcd.client, FakeClock(), one.compacted)
        await compactor.step()
        middle = (await one.update(key("a"), set_to("1"))).revision
        await compactor.step()
        last = (await one.update(key("a"), set_to("2"))).revision
        async with asyncio.timeout(20), cacher_over(etcd.url) as fresh:
            watch = await fresh.watch(MAPS, after_revision=middle - 1)
            assert [change.revision for change in watch.take()] == [middle, last]
            watch.close()
            with pytest.raises(RevisionCompacted):
                await fresh.watch(MAPS, after_revision=start - 1)
        await one._etcd.client.compact(last)  # and nobody marks it
        async with asyncio.timeout(20), cacher_over(etcd.url) as fresh:
            assert (await fresh.get(key("a"))).obj["data"] == {"x": "2"}
            assert await fresh._etcd.client.oldest_revision() == last


async def test_several_servers_agree(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one, cacher_over(etcd.url) as other:
        await one.create(key("a"), config_map("a", x="0"))
        for at in range(30):
            writer, reader = (one, other) if at % 2 else (other, one)
            written = await writer.update(key("a"), set_to(str(at)))
            assert (await reader.get(key("a"))).revision == written.revision
            assert [item.revision for item in (await reader.list(MAPS)).items] == [written.revision]


async def test_foreign_keys_do_not_stop_reads(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        await one.create(key("a"), config_map("a"))
        stranger = EtcdClient([etcd.url])
        await stranger.create("elsewhere", b"1")
        await stranger.create("/registry/strange", b"not an object")
        outcome = await stranger.create("/zoo", b"2")
        async with asyncio.timeout(60):
            page = await one.list(MAPS)
            assert page.revision >= outcome.revision
            assert [item.name for item in page.items] == ["a"]
        await stranger.close()


async def test_compaction_follows_two_intervals_behind(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        client = one._etcd.client
        compactors = [Compactor(client, FakeClock(), one.compacted) for _ in range(2)]
        start = (await one.create(key("a"), config_map("a", x="0"))).revision
        for compactor in compactors:
            await compactor.step()
        page = await one.list(MAPS)
        await one.update(key("a"), set_to("1"))
        for compactor in compactors:
            await compactor.step()
            await compactor.step()
        await one.update(key("a"), set_to("2"))
        for compactor in compactors:
            await compactor.step()
        assert page.revision > start
        with pytest.raises(RevisionCompacted):
            await one.list(MAPS, exact_revision=start)
        assert (await one.list(MAPS)).items[0].obj["data"] == {"x": "2"}


async def test_another_endpoint_is_tried(etcd: Etcd) -> None:
    async with cacher_over(f"http://127.0.0.1:{free_port()}", etcd.url) as one:
        await one.create(key("a"), config_map("a"))
        assert (await one.get(key("a"))).name == "a"


async def test_time_to_live(etcd: Etcd) -> None:
    async with cacher_over(etcd.url) as one:
        await one.create(key("brief"), config_map("brief"), ttl=1)
        kept, _ = await one._etcd.client.get(key("brief"))
        assert kept is not None and kept.lease
