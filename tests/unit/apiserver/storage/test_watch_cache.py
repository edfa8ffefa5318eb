"""The cache by itself: slow watchers, forgotten history, bookmarks, families."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from apiserver.storage import audience, family, watch_cache
from apiserver.storage.audience import Subscription
from apiserver.storage.family import family_of
from apiserver.storage.interface import Change, Hints, RevisionCompacted
from apiserver.storage.paging import at_once
from apiserver.storage.stored import NotAnObject, Stored, encode, stored
from apiserver.storage.watch_cache import WatchCache


def pod(name: str, revision: int, node: str = "") -> Stored:
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name}, "spec": {"nodeName": node}}
    return stored(f"/registry/pods/default/{name}", revision, encode(obj))


def happen(cache: WatchCache, *states: Stored) -> None:
    for state in states:
        cache.apply(state.revision, state.key, state)
        cache.advance(state.revision)


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("/registry/pods/default/web", "/registry/pods/"),
        ("/registry/nodes/n1", "/registry/nodes/"),
        ("/registry/services/specs/default/web", "/registry/services/specs/"),
        ("/registry/example.com/widgets/default/w", "/registry/example.com/widgets/"),
        ("/registry/pods/", "/registry/pods/"),
        ("/registry/example.com/", "/registry/"),
        ("/registry/", "/registry/"),
    ],
)
def test_keys_belong_to_resources(key: str, prefix: str) -> None:
    assert family_of(key) == prefix


async def test_a_slow_watcher_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "QUEUE_LIMIT", 3)
    cache = WatchCache()
    slow = cache.watch("/registry/pods/", 0)
    quick = cache.watch("/registry/pods/", 0)
    seen = []
    for revision in range(1, 6):
        happen(cache, pod("web", revision))
        seen += [change.revision for change in quick.take()]
    assert seen == [1, 2, 3, 4, 5]
    assert slow.ended
    with pytest.raises(StopAsyncIteration):
        await anext(slow)


async def test_a_watcher_that_holds_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audience, "LARGEST_QUEUE", 10_000)
    monkeypatch.setattr(audience, "_WEIGHED_EVERY", 4)
    cache = WatchCache()
    slow = cache.watch("/registry/pods/", 0)
    obj = {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "web"}, "x": "x" * 1000}
    happen(cache, *(stored("/registry/pods/default/web", at, encode(obj)) for at in range(1, 14)))
    assert slow.ended
    assert not slow.take()


class Hand:
    """A taker that is free or not."""

    def __init__(self) -> None:
        self.free = True
        self.taken: list[list[int]] = []
        self.took = asyncio.Event()

    def __call__(self, batch: Sequence[Change]) -> bool:
        if self.free:
            self.taken.append([change.revision for change in batch])
            self.took.set()
        return self.free


async def test_a_taker_gets_changes_while_the_watcher_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_cache, "WINDOW", 0.0)
    cache, hand = WatchCache(), Hand()
    watch = cache.watch("/registry/pods/", 0)
    watch.hand_to(hand)
    happen(cache, pod("web", 1))
    assert hand.taken == []  # nobody waits yet
    assert [change.revision for change in await anext(watch)] == [1]
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    cache.apply(2, "/registry/pods/default/a", pod("a", 2))
    assert watch.revision == 1
    cache.apply(3, "/registry/pods/default/b", pod("b", 3))
    cache.advance(3)
    assert hand.taken == [[2, 3]]
    assert watch.revision == 3
    hand.free = False
    happen(cache, pod("web", 4), pod("web", 5))
    assert [change.revision for change in await waiting] == [4, 5]
    assert hand.taken == [[2, 3]]


async def test_a_taker_that_fails_leaves_the_change_to_the_watcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_cache, "WINDOW", 0.0)

    def fail(batch: Sequence[Change]) -> bool:
        raise ValueError("no")

    cache, hand = WatchCache(), Hand()
    watch, other = cache.watch("/registry/pods/", 0), cache.watch("/registry/pods/", 0)
    watch.hand_to(fail)
    other.hand_to(hand)
    waiting = [asyncio.ensure_future(anext(one)) for one in (watch, other)]
    await asyncio.sleep(0)
    happen(cache, pod("web", 1))
    assert [change.revision for change in await waiting[0]] == [1]
    assert hand.taken == [[1]]
    other.close()
    with pytest.raises(StopAsyncIteration):
        await waiting[1]


async def test_changes_that_follow_each_other_fast_come_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_cache, "WINDOW", 0.3)
    cache, hand = WatchCache(), Hand()
    watch = cache.watch("/registry/pods/", 0)
    watch.hand_to(hand)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    happen(cache, *(pod("web", revision) for revision in range(1, 6)))
    hand.took.clear()
    async with asyncio.timeout(60):
        await hand.took.wait()
    assert hand.taken == [[1], [2, 3, 4, 5]]
    watch.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_who_leaves_the_others_takes_along_what_they_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_cache, "WINDOW", 3600.0)
    cache, hand = WatchCache(), Hand()
    watches = [cache.watch("/registry/pods/", 0) for _ in range(3)]
    for watch in watches:
        watch.hand_to(hand)
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await asyncio.sleep(0)
    happen(cache, pod("web", 1), pod("web", 2))
    assert hand.taken == [[1]] * 3
    assert [watch.revision for watch in watches] == [1] * 3
    watches[0].wake()
    watches[1].close()
    for one in waiting[:2]:
        assert [change.revision for change in await one] == [2]
    late = cache.watch("/registry/pods/", 2)
    late.hand_to(hand)
    waiting += [asyncio.ensure_future(anext(watch)) for watch in (watches[0], late)]
    await asyncio.sleep(0)
    cache._hand_out_late()
    assert hand.taken == [[1]] * 3 + [[2]]  # for the one who has stayed
    for one in waiting[2:]:
        one.cancel()


@pytest.mark.parametrize("seed", range(8))
async def test_nothing_is_lost_and_nothing_comes_twice(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(watch_cache, "WINDOW", chance.choice([0.0, 0.0005]))
    cache = WatchCache()
    seen: list[list[int]] = []
    tasks = []

    async def follow(watch: Subscription, mine: list[int]) -> None:
        async for batch in watch:
            mine += [change.revision for change in batch]
            await asyncio.sleep(0)

    def begin() -> Subscription:
        mine: list[int] = [*range(1, cache.revision + 1)]
        seen.append(mine)

        def take(batch: Sequence[Change]) -> bool:
            if chance.random() < 0.2:
                return False
            mine.extend(change.revision for change in batch)
            return True

        watch = cache.watch("/registry/pods/", cache.revision)
        if chance.random() < 0.8:
            watch.hand_to(take)
        tasks.append(asyncio.ensure_future(follow(watch, mine)))
        return watch

    watches = [begin() for _ in range(4)]
    revision = 0
    for _ in range(200):
        for _ in range(chance.randint(1, 3)):
            revision += 1
            cache.apply(revision, "/registry/pods/default/web", pod("web", revision))
        cache.advance(revision)
        for watch, mine in zip(watches, seen, strict=True):
            assert watch.revision >= (mine[-1] if mine else 0)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.choice([0, 0, 0.0005]))
        if chance.random() < 0.2:
            chance.choice(watches).wake()
        if chance.random() < 0.05:
            watches.append(begin())
    for watch in watches:
        watch.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*tasks)
    assert all(mine == [*range(1, revision + 1)] for mine in seen)


def test_history_is_forgotten_family_by_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family, "SHORTEST_HISTORY", 2)
    monkeypatch.setattr(family, "LONGEST_HISTORY", 3)
    cache = WatchCache()
    happen(cache, *(pod("web", revision) for revision in range(1, 11)))
    with pytest.raises(RevisionCompacted):
        cache.watch("/registry/pods/", 6)
    assert [change.revision for change in cache.watch("/registry/pods/", 7).take()] == [8, 9, 10]
    assert cache.watch("/registry/nodes/", 0).revision == 10


def test_bookmarks_never_run_ahead_of_what_was_handed_out() -> None:
    cache = WatchCache()
    watch = cache.watch("/registry/pods/", 0)
    happen(cache, pod("web", 3))
    assert watch.revision == 2
    watch.take()
    assert watch.revision == 3
    cache.advance(9)
    assert watch.revision == 9
    future = cache.watch("/registry/pods/", 12)
    happen(cache, pod("web", 11))
    assert future.take() == []
    assert future.revision == 12


def test_indexes_reach_those_whom_it_concerns() -> None:
    cache = WatchCache()
    named = cache.watch("/registry/pods/", 0, Hints(name="b"))
    here = cache.watch("/registry/pods/default/", 0, Hints(node_name="n1"))
    everything = cache.watch("/registry/", 0)
    happen(cache, pod("a", 1), pod("b", 2, "n1"), pod("b", 3, "n2"), pod("b", 4, "n2"))
    assert [change.revision for change in named.take()] == [2, 3, 4]
    assert [change.revision for change in here.take()] == [2, 3]
    assert len(everything.take()) == 4
    named.close()
    here.close()
    happen(cache, pod("b", 5, "n1"))
    assert not named.take() and not here.take()


def test_a_gap_ends_all_watches() -> None:
    cache = WatchCache()
    happen(cache, pod("web", 1))
    watch = cache.watch("/registry/pods/", 1)
    cache.replace([pod("other", 7)], 8)
    assert watch.ended
    assert [item.name for item in at_once(cache.page("/registry/pods/")).items] == ["other"]
    with pytest.raises(RevisionCompacted):
        cache.watch("/registry/pods/", 7)


def test_lists_of_the_past() -> None:
    cache = WatchCache()
    happen(cache, pod("a", 1), pod("b", 2), pod("a", 3))
    cache.apply(4, "/registry/pods/default/b", None)
    cache.advance(4)
    past = at_once(cache.page("/registry/pods/", exact_revision=2))
    assert [(item.name, item.revision) for item in past.items] == [("a", 1), ("b", 2)]
    cache.compacted = 3
    with pytest.raises(RevisionCompacted):
        at_once(cache.page("/registry/pods/", exact_revision=2))


def test_values_are_spliced() -> None:
    by_hand = b'{"metadata":{"name":"x"},"apiVersion":"v1","kind":"Pod"}'
    kept = stored("/registry/pods/x", 17, by_hand)
    assert kept.json == b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"17","name":"x"}}'
    assert kept.value == b'{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x"}}'
    assert kept.at(200).json == kept.json.replace(b"17", b"200")
    empty = stored("/registry/pods/x", 5, b'{"kind":"Pod","apiVersion":"v1","metadata":{}}')
    assert empty.json == b'{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"5"}}'
    assert empty.at(6).value == empty.value
    for strange in (b"", b"k8s\x00", b"[]", b"17", b'{"kind":"Pod"}', b'{"metadata":{},"kind":1}'):
        with pytest.raises(NotAnObject):
            stored("/registry/x/y", 1, strange)


def test_a_template_is_not_taken_for_the_object() -> None:
    tricky = b'{"kind":"Pod","spec":{"template":{"metadata":{"name":"in"}}},"metadata":{"name":"out"},'
    tricky += b'"apiVersion":"v1"}'
    kept = stored("/registry/x/y", 3, tricky)
    assert kept.obj["metadata"] == {"resourceVersion": "3", "name": "out"}
    assert kept.obj["spec"] == {"template": {"metadata": {"name": "in"}}}
