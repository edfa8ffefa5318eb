"""What every storage promises, asked of each: in memory, straight in etcd, and cached over etcd."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest

from apiserver.storage.cacher import Cacher
from apiserver.storage.etcd import EtcdStorage
from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.interface import (
    Change,
    Hints,
    KeyExists,
    KeyNotFound,
    RevisionCompacted,
    RevisionConflict,
    Storage,
    Stored,
    Watch,
)
from apiserver.storage.memory import MemoryStorage
from tests.integration.storage.etcd import Etcd

PODS = "/registry/pods/"


@pytest.fixture(scope="module")
async def etcd() -> AsyncIterator[Etcd]:
    server = Etcd()
    await server.start()
    yield server
    await server.remove()


@pytest.fixture(params=["memory", "etcd", "cacher"])
async def storage(request: pytest.FixtureRequest, etcd: Etcd) -> AsyncIterator[Storage]:
    if request.param == "memory":
        yield MemoryStorage()
        return
    client = EtcdClient([etcd.url])
    for kv in (await client.range("/registry/")).items:
        await client.delete_if(kv.key, kv.revision)
    direct = EtcdStorage(client)
    if request.param == "etcd":
        yield direct
    else:
        cacher = Cacher(direct)
        following = asyncio.create_task(cacher.run())
        yield cacher
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
    await client.close()


def pod(name: str, namespace: str = "default", node: str = "", **labels: str) -> dict[str, Any]:
    spec = {"nodeName": node} if node else {}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def key(name: str, namespace: str = "default") -> str:
    return f"{PODS}{namespace}/{name}"


async def make(storage: Storage, *names: str, namespace: str = "default") -> int:
    revision = 0
    for name in names:
        revision = (await storage.create(key(name, namespace), pod(name, namespace))).revision
    return revision


async def changes_of(watch: Watch, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(60):
        async for batch in watch:
            found += batch
            if len(found) >= count:
                break
    watch.close()
    return found


def brief(changes: Sequence[Change]) -> list[tuple[str, str]]:
    def sort(change: Change) -> str:
        if change.current is None:
            return "deleted"
        return "added" if change.previous is None else "modified"

    return [(sort(change), change.key.removeprefix(PODS)) for change in changes]


async def test_what_is_created_can_be_read_with_its_revision(storage: Storage) -> None:
    made = await storage.create(key("web"), pod("web", app="a"))
    found = await storage.get(key("web"))
    assert found.revision == made.revision
    assert found.obj["metadata"]["resourceVersion"] == str(made.revision)
    assert found.obj["spec"] == {}
    assert found.labels == {"app": "a"}
    assert found.json == made.json
    assert found.json.startswith(b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"')


async def test_a_name_is_taken_once(storage: Storage) -> None:
    await make(storage, "web")
    with pytest.raises(KeyExists):
        await make(storage, "web")


async def test_what_is_not_there_is_not_found(storage: Storage) -> None:
    with pytest.raises(KeyNotFound):
        await storage.get(key("nobody"))
    with pytest.raises(KeyNotFound):
        await storage.update(key("nobody"), lambda obj, revision: obj)
    with pytest.raises(KeyNotFound):
        await storage.delete(key("nobody"))


async def test_update_changes_what_a_function_says(storage: Storage) -> None:
    first = await make(storage, "web")

    def label(obj: dict[str, Any], revision: int) -> dict[str, Any]:
        assert revision == first == int(obj["metadata"]["resourceVersion"])
        obj["metadata"]["labels"] = {"a": "b"}
        return obj

    changed = await storage.update(key("web"), label)
    assert changed.revision > first
    assert (await storage.get(key("web"))).labels == {"a": "b"}


async def test_an_update_without_a_change_writes_nothing(storage: Storage) -> None:
    first = await make(storage, "web")
    assert (await storage.update(key("web"), lambda obj, revision: obj)).revision == first
    assert (await storage.update(key("web"), lambda obj, revision: None)).revision == first
    reordered = await storage.update(key("web"), lambda obj, revision: dict(reversed(obj.items())))
    assert reordered.revision == first


async def test_updates_at_the_same_time_are_all_kept(storage: Storage) -> None:
    await make(storage, "web")

    def count(obj: dict[str, Any], revision: int) -> dict[str, Any]:
        labels = obj["metadata"]["labels"]
        labels["n"] = str(int(labels.get("n", "0")) + 1)
        return obj

    await asyncio.gather(*(storage.update(key("web"), count) for _ in range(10)))
    assert (await storage.get(key("web"))).labels == {"n": "10"}


async def test_replace_demands_the_revision(storage: Storage) -> None:
    first = await make(storage, "web")
    fresh = await storage.replace(key("web"), pod("web", a="1"), first)
    with pytest.raises(RevisionConflict):
        await storage.replace(key("web"), pod("web", a="2"), first)
    assert (await storage.replace(key("web"), pod("web", a="1"), fresh.revision)).revision == fresh.revision
    assert (await storage.get(key("web"))).labels == {"a": "1"}


async def test_delete_returns_the_last_state_at_a_new_revision(storage: Storage) -> None:
    first = await make(storage, "web")
    gone = await storage.delete(key("web"))
    assert gone.revision > first
    assert gone.obj["metadata"]["resourceVersion"] == str(gone.revision)
    with pytest.raises(KeyNotFound):
        await storage.get(key("web"))


async def test_a_refused_delete_deletes_nothing(storage: Storage) -> None:
    await make(storage, "web")

    def refuse(stored: Stored) -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        await storage.delete(key("web"), refuse)
    await storage.get(key("web"))


async def test_a_list_is_in_the_order_of_keys(storage: Storage) -> None:
    await make(storage, "b", "a", namespace="x")
    await make(storage, "c", namespace="x-y")
    newest = await make(storage, "a", namespace="w")
    page = await storage.list(PODS)
    assert [item.key for item in page.items] == [key("a", "w"), key("c", "x-y"), key("a", "x"), key("b", "x")]
    assert page.revision >= newest
    assert [item.key for item in (await storage.list(PODS + "x/")).items] == [key("a", "x"), key("b", "x")]


async def test_pages_of_a_list_stay_at_one_revision(storage: Storage) -> None:
    await make(storage, "a", "b", "c", "d", "e")
    first = await storage.list(PODS, limit=2)
    assert [item.name for item in first.items] == ["a", "b"]
    assert first.remaining == 3
    await storage.delete(key("c"))
    await make(storage, "bb")
    second = await storage.list(PODS, limit=2, start_key=first.next_key, exact_revision=first.revision)
    assert [item.name for item in second.items] == ["c", "d"]
    assert second.revision == first.revision
    assert second.remaining == 1
    third = await storage.list(PODS, limit=2, start_key=second.next_key, exact_revision=first.revision)
    assert [item.name for item in third.items] == ["e"]
    assert third.next_key == ""
    assert [item.name for item in (await storage.list(PODS)).items] == ["a", "b", "bb", "d", "e"]


async def test_a_predicate_does_not_shorten_pages(storage: Storage) -> None:
    for at in range(10):
        await storage.create(key(f"p{at}"), pod(f"p{at}", even=str(at % 2 == 0)))
    page = await storage.list(PODS, limit=2, predicate=lambda item: item.labels["even"] == "True")
    assert [item.name for item in page.items] == ["p0", "p2"]
    rest = await storage.list(
        PODS, start_key=page.next_key, predicate=lambda item: item.labels["even"] == "True"
    )
    assert [item.name for item in rest.items] == ["p4", "p6", "p8"]


async def test_a_watch_tells_everything_after_its_revision(storage: Storage) -> None:
    start = await make(storage, "old")
    watch = await storage.watch(PODS, after_revision=start)
    await make(storage, "new")
    await storage.update(key("old"), lambda obj, revision: obj | {"spec": {"x": 1}})
    await storage.delete(key("new"))
    changes = await changes_of(watch, 3)
    assert brief(changes) == [
        ("added", "default/new"),
        ("modified", "default/old"),
        ("deleted", "default/new"),
    ]
    assert [change.revision for change in changes] == sorted(change.revision for change in changes)
    assert changes[1].previous is not None
    assert changes[1].previous.obj["spec"] == {}


async def test_a_watch_may_begin_in_the_past(storage: Storage) -> None:
    start = await make(storage, "first")
    await make(storage, "second", "third")
    await storage.delete(key("first"))
    watch = await storage.watch(PODS, after_revision=start)
    assert brief(await changes_of(watch, 3)) == [
        ("added", "default/second"),
        ("added", "default/third"),
        ("deleted", "default/first"),
    ]


async def test_a_watch_hears_of_its_prefix_only(storage: Storage) -> None:
    start = await make(storage, "a", namespace="x")
    narrow = await storage.watch(PODS + "x/", after_revision=start)
    await make(storage, "b", namespace="xx")
    await storage.create("/registry/services/specs/x/s", pod("s", "x"))
    await make(storage, "c", namespace="x")
    assert brief(await changes_of(narrow, 1)) == [("added", "x/c")]


async def test_hints_choose_by_name_and_by_node(storage: Storage) -> None:
    start = await make(storage, "a", "b")
    by_name = await storage.watch(PODS, after_revision=start, hints=Hints(name="b"))
    by_node = await storage.watch(PODS, after_revision=start, hints=Hints(node_name="n1"))

    def move(node: str) -> Callable[[dict[str, Any], int], dict[str, Any]]:
        return lambda obj, revision: obj | {"spec": {"nodeName": node}}

    await storage.update(key("a"), move("n1"))
    await storage.update(key("b"), move("n2"))
    await storage.update(key("a"), move("n3"))
    assert brief(await changes_of(by_name, 1)) == [("modified", "default/b")]
    assert brief(await changes_of(by_node, 2)) == [("modified", "default/a"), ("modified", "default/a")]


async def test_what_is_compacted_is_gone(storage: Storage) -> None:
    first = await storage.list(PODS)
    await make(storage, "a", "b")
    newest = await make(storage, "c")
    await compact(storage, newest)
    with pytest.raises(RevisionCompacted):
        await storage.list(PODS, exact_revision=first.revision)


async def compact(storage: Storage, revision: int) -> None:
    if isinstance(storage, MemoryStorage):
        storage.compact(revision)
    elif isinstance(storage, Cacher):
        await storage._etcd.client.compact(revision)
        storage.compacted(revision)
    elif isinstance(storage, EtcdStorage):
        await storage.client.compact(revision)


async def test_any_cached_state_will_do_for_some(storage: Storage) -> None:
    made = await storage.create(key("web"), pod("web"))
    read: Callable[..., Awaitable[Any]] = storage.get
    assert (await read(key("web"), minimum_revision=0)).revision == made.revision  # one's own write is seen
    assert (await read(key("web"), minimum_revision=made.revision)).revision == made.revision
    page = await storage.list(PODS, minimum_revision=made.revision)
    assert [item.name for item in page.items] == ["web"]
    assert page.revision >= made.revision
