"""The newest state of every key, what recently happened to it, and who wants to know: all in memory, nothing awaited.

    apply(revision, key, stored) ──▶ Family `/registry/pods/` ──▶ Shelf `/registry/pods/default/`   sorted, for lists
                                       ├── history              ──▶ watches that start in the past, lists of the past
                                       └── Audience by prefix   ──▶ Subscription: a bounded queue for each watcher

A family is one resource. Families have histories of their own, so that a busy resource does not push out what
happened to a quiet one. `cacher.py` fills this from etcd, `memory.py` directly.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections import deque
from collections.abc import Iterator, Sequence

from apiserver.storage.interface import (
    NO_HINTS,
    Change,
    Hints,
    KeyNotFound,
    Page,
    Predicate,
    RevisionCompacted,
    RevisionTooLarge,
    Stored,
)

ROOT = "/registry/"
SHORTEST_HISTORY = 512  # changes of a family that are always kept
LONGEST_HISTORY = 100 * 1024  # changes of a family that are kept at most
FRESH = 75.0  # seconds for which changes are kept if the longest history has room for them
QUEUE_LIMIT = 4096  # changes that a watcher may lag behind before it is ended


def family_of(key: str) -> str:
    """The prefix of the resource to which a key (or a longer prefix) belongs; `/registry/` if it is not that long.

    `/registry/pods/`, `/registry/services/specs/`, `/registry/example.com/widgets/`: groups have a dot.
    """
    first = key.find("/", len(ROOT))
    if first < 0:
        return ROOT
    segment = key[len(ROOT) : first]
    if "." in segment or segment == "services":
        second = key.find("/", first + 1)
        return ROOT if second < 0 else key[: second + 1]
    return key[: first + 1]


class Subscription:
    """A watch on the cache: a bounded queue between `apply` and one watcher."""

    def __init__(
        self, cache: WatchCache, prefix: str, after: int, hints: Hints, missed: Sequence[Change]
    ) -> None:
        self._cache = cache
        self.prefix = prefix
        self.hints = hints
        self._after = after  # changes up to here are known to the watcher already
        self._queue: deque[Change] = deque(missed)
        self._waiting: asyncio.Future[None] | None = None
        self.ended = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Sequence[Change]:
        if not self._queue and not self.ended:
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        if not self._queue and self.ended:
            raise StopAsyncIteration
        return self.take()

    def take(self) -> Sequence[Change]:
        """Everything that is queued, possibly nothing, without waiting."""
        batch = list(self._queue)
        self._queue.clear()
        if batch:
            self._after = batch[-1].revision
        return batch

    @property
    def revision(self) -> int:
        """Every change up to this revision has been handed out: good for a bookmark."""
        if self._queue:
            return max(self._after, self._queue[0].revision - 1)
        return self._after if self.ended else max(self._after, self._cache.revision)

    def offer(self, change: Change) -> None:
        """Queue one change; a watcher that lags too far behind is ended."""
        if change.revision <= self._after:
            return
        if len(self._queue) >= QUEUE_LIMIT:
            self._queue.clear()
            self.close()
            return
        self._queue.append(change)
        self.wake()

    def close(self) -> None:
        """No more changes."""
        if not self.ended:
            self.ended = True
            self._cache.leave(self)
            self.wake()

    def wake(self) -> None:
        """Let a waiting `__anext__` return now, with an empty batch if need be."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Audience:
    """The subscriptions to one prefix, indexed by what they demand exactly."""

    def __init__(self) -> None:
        self._everything: dict[Subscription, None] = {}
        self._by_name: dict[str, dict[Subscription, None]] = {}
        self._by_node: dict[str, dict[Subscription, None]] = {}

    def add(self, subscription: Subscription) -> None:
        """Let it hear of changes."""
        self._place(subscription.hints)[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Let it hear no more."""
        hints = subscription.hints
        place = self._place(hints)
        place.pop(subscription, None)
        if place:
            return
        if hints.name is not None:
            del self._by_name[hints.name]
        elif hints.node_name is not None:
            del self._by_node[hints.node_name]

    def tell(self, change: Change) -> None:
        """Offer a change to all whom it may concern."""
        for subscription in [*self._everything]:
            subscription.offer(change)
        if self._by_name:
            name = change.key[change.key.rindex("/") + 1 :]
            for subscription in [*self._by_name.get(name, ())]:
                subscription.offer(change)
        if self._by_node:
            for node in nodes_of(change):
                for subscription in [*self._by_node.get(node, ())]:
                    subscription.offer(change)

    def __iter__(self) -> Iterator[Subscription]:
        groups = (self._everything, *self._by_name.values(), *self._by_node.values())
        return iter([subscription for group in groups for subscription in group])

    def __bool__(self) -> bool:
        return bool(self._everything or self._by_name or self._by_node)

    def _place(self, hints: Hints) -> dict[Subscription, None]:
        if hints.name is not None:
            return self._by_name.setdefault(hints.name, {})
        if hints.node_name is not None:
            return self._by_node.setdefault(hints.node_name, {})
        return self._everything


def nodes_of(change: Change) -> set[str]:
    """On which nodes the object is and was: a watcher of one node also hears that an object leaves it."""
    return {stored.node_name for stored in (change.current, change.previous) if stored is not None}


def concerns(change: Change, prefix: str, hints: Hints) -> bool:
    """Is this a change that a subscription asked for?"""
    if not change.key.startswith(prefix):
        return False
    if hints.name is not None:
        return change.key.endswith("/" + hints.name)
    return hints.node_name is None or hints.node_name in nodes_of(change)


class Shelf:
    """The objects directly below one prefix, in the order of their keys."""

    __slots__ = ("items", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.items: list[Stored] = []  # in step with `keys`

    def put(self, key: str, stored: Stored | None) -> Stored | None:
        """Place an object, or with None remove it; returns what stood there."""
        at = bisect.bisect_left(self.keys, key)
        if at < len(self.keys) and self.keys[at] == key:
            previous = self.items[at]
            if stored is None:
                del self.keys[at], self.items[at]
            else:
                self.items[at] = stored
            return previous
        if stored is not None:
            self.keys.insert(at, key)
            self.items.insert(at, stored)
        return None


class Family:
    """One resource: its shelves, its recent history, its audiences."""

    def __init__(self, prefix: str, forgotten: int) -> None:
        self.prefix = prefix
        self.shelves: dict[str, Shelf] = {}
        self.order: list[str] = []  # keys of `shelves`, sorted
        self.history: deque[Change] = deque()
        self.times: deque[float] = deque()  # when, in step with `history`
        self.forgotten = forgotten  # the history is complete after this revision
        self.audiences: dict[str, Audience] = {}

    def put(self, key: str, stored: Stored | None) -> Stored | None:
        """Place or remove an object on its shelf."""
        place = key[: key.rindex("/") + 1]
        shelf = self.shelves.get(place)
        if shelf is None:
            if stored is None:
                return None
            shelf = self.shelves[place] = Shelf()
            bisect.insort(self.order, place)
        previous = shelf.put(key, stored)
        if not shelf.keys:
            del self.shelves[place]
            del self.order[bisect.bisect_left(self.order, place)]
        return previous

    def remember(self, change: Change, now: float) -> None:
        """Add to the history, and forget what is old enough."""
        self.history.append(change)
        self.times.append(now)
        while len(self.history) > SHORTEST_HISTORY and (
            len(self.history) > LONGEST_HISTORY or self.times[0] < now - FRESH
        ):
            self.forgotten = self.history.popleft().revision
            self.times.popleft()

    def since(self, revision: int) -> list[Change]:
        """What happened after a revision, oldest first. Raises RevisionCompacted."""
        if revision < self.forgotten:
            raise RevisionCompacted
        found = []
        for change in reversed(self.history):
            if change.revision <= revision:
                break
            found.append(change)
        found.reverse()
        return found

    def under(self, prefix: str) -> list[Shelf]:
        """The shelves whose keys start with a prefix, in order."""
        exact = self.shelves.get(prefix)
        if exact is not None and prefix != self.prefix:
            return [exact]
        if prefix == self.prefix or len(prefix) < len(self.prefix):
            return [self.shelves[place] for place in self.order]
        at = bisect.bisect_left(self.order, prefix)
        found = []
        while at < len(self.order) and self.order[at].startswith(prefix):
            found.append(self.shelves[self.order[at]])
            at += 1
        return found


class WatchCache:
    """All families at one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self.compacted = 0  # etcd answers no questions about revisions before this one, so neither do we
        self.objects: dict[str, Stored] = {}
        self._families: dict[str, Family] = {}
        self._wide: dict[str, Audience] = {}  # watchers of several families at once
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._complete_after = 0  # families that nobody has seen yet had no changes after this revision

    # ------------------------------------------------------------------------------------------------ changing

    def apply(self, revision: int, key: str, current: Stored | None) -> Change | None:
        """One thing happened: tell everyone. `advance` must follow before anybody else gets the loop."""
        family = self._family(key)
        previous = family.put(key, current)
        if current is not None:
            self.objects[key] = current
        elif previous is None:
            return None  # the end of something that was no object
        else:
            del self.objects[key]
        change = Change(revision, key, current, previous)
        family.remember(change, time.monotonic())
        if family.audiences:
            for prefix in {family.prefix, key[: key.rindex("/") + 1]}:
                if prefix in family.audiences:
                    family.audiences[prefix].tell(change)
        for prefix, audience in self._wide.items():
            if key.startswith(prefix):
                audience.tell(change)
        return change

    def advance(self, revision: int) -> None:
        """Everything up to a revision has been applied."""
        self.revision = revision
        if self._waiters:
            due = [waiter for wanted, waiter in self._waiters if wanted <= revision]
            if due:
                self._waiters = [pair for pair in self._waiters if pair[0] > revision]
                for waiter in due:
                    if not waiter.done():
                        waiter.set_result(None)

    def replace(self, objects: Sequence[Stored], revision: int) -> None:
        """Begin anew with a list: histories are gone, and with them every watcher that stood on them."""
        watchers = [
            watcher
            for audiences in (self._wide, *(family.audiences for family in self._families.values()))
            for audience in audiences.values()
            for watcher in audience
        ]
        self._families.clear()
        self._complete_after = revision
        self.objects = {stored.key: stored for stored in objects}
        for stored in objects:
            self._family(stored.key).put(stored.key, stored)
        self.advance(revision)
        for watcher in watchers:
            watcher.close()

    def end_watches(self) -> None:
        """Close every subscription, as a server that stops must."""
        for audiences in (self._wide, *(family.audiences for family in self._families.values())):
            for audience in [*audiences.values()]:
                for watcher in audience:
                    watcher.close()

    # ------------------------------------------------------------------------------------------------- asking

    async def wait_for(self, revision: int, seconds: float) -> None:
        """Return when the cache has come to a revision. Raises RevisionTooLarge when it does not."""
        if revision <= self.revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pair = (revision, waiter)
        self._waiters.append(pair)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            raise RevisionTooLarge(revision, self.revision) from None
        finally:
            if pair in self._waiters:
                self._waiters.remove(pair)

    def get(self, key: str) -> Stored:
        """The newest state of a key. Raises KeyNotFound."""
        try:
            return self.objects[key]
        except KeyError:
            raise KeyNotFound(key) from None

    def page(
        self,
        prefix: str,
        *,
        exact_revision: int = 0,
        start_key: str = "",
        limit: int = 0,
        predicate: Predicate | None = None,
        hints: Hints = NO_HINTS,
    ) -> Page:
        """Objects below a prefix, now or as they were. Raises RevisionCompacted if the past is forgotten."""
        if exact_revision and exact_revision < self.compacted:
            raise RevisionCompacted(self.revision)
        revision = exact_revision or self.revision
        changed_since = self._history(prefix, exact_revision) if exact_revision else []
        if changed_since:
            shelves = [_shelf_before(changed_since, self._shelves(prefix))]
        elif hints.name is not None:
            shelves = self._named(prefix, hints.name)
        else:
            shelves = self._shelves(prefix)
        return _page(shelves, revision, start_key, limit, predicate)

    def watch(self, prefix: str, after_revision: int, hints: Hints = NO_HINTS) -> Subscription:
        """Changes after a revision. Raises RevisionCompacted."""
        try:
            missed = [
                change for change in self._history(prefix, after_revision) if concerns(change, prefix, hints)
            ]
        except RevisionCompacted:
            raise RevisionCompacted(self.revision) from None
        subscription = Subscription(self, prefix, after_revision, hints, missed)
        if missed:
            # What is queued is newer than `after_revision` but must not be offered again.
            subscription._after = after_revision
        self._audiences(prefix).setdefault(prefix, Audience()).add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        audiences = self._audiences(subscription.prefix)
        audience = audiences.get(subscription.prefix)
        if audience is not None:
            audience.remove(subscription)
            if not audience:
                del audiences[subscription.prefix]

    def count(self, prefix: str) -> int:
        """How many objects are below a prefix."""
        return sum(len(shelf.keys) for shelf in self._shelves(prefix))

    # ------------------------------------------------------------------------------------------------ families

    def _family(self, key: str) -> Family:
        prefix = family_of(key)
        family = self._families.get(prefix)
        if family is None:
            family = self._families[prefix] = Family(prefix, self._complete_after)
        return family

    def _within(self, prefix: str) -> list[Family]:
        """The families that a prefix touches; several only for a prefix that is shorter than theirs."""
        own = family_of(prefix)
        if own != ROOT:
            return [self._family(prefix)]
        return [family for at, family in sorted(self._families.items()) if at.startswith(prefix)]

    def _audiences(self, prefix: str) -> dict[str, Audience]:
        return self._wide if family_of(prefix) == ROOT else self._family(prefix).audiences

    def _shelves(self, prefix: str) -> list[Shelf]:
        return [shelf for family in self._within(prefix) for shelf in family.under(prefix)]

    def _named(self, prefix: str, name: str) -> list[Shelf]:
        """Shelves with nothing but the objects of one name."""
        found = []
        for family in self._within(prefix):
            places = [prefix] if prefix in family.shelves else family.order
            for place in places:
                stored = self.objects.get(place + name) if place.startswith(prefix) else None
                if stored is not None:
                    shelf = Shelf()
                    shelf.put(stored.key, stored)
                    found.append(shelf)
        return found

    def _history(self, prefix: str, after: int) -> list[Change]:
        if family_of(prefix) == ROOT and after < self._complete_after:
            raise RevisionCompacted
        found = [change for family in self._within(prefix) for change in family.since(after)]
        found = [change for change in found if change.key.startswith(prefix)]
        if family_of(prefix) == ROOT:
            found.sort(key=lambda change: change.revision)
        return found


def _shelf_before(changes: Sequence[Change], shelves: Sequence[Shelf]) -> Shelf:
    """Objects as they were before some changes: undone from the newest to the oldest."""
    objects = {key: stored for shelf in shelves for key, stored in zip(shelf.keys, shelf.items, strict=True)}
    for change in reversed(changes):
        if change.previous is None:
            objects.pop(change.key, None)
        else:
            objects[change.key] = change.previous
    past = Shelf()
    past.keys = sorted(objects)
    past.items = [objects[key] for key in past.keys]
    return past


def _page(
    shelves: Sequence[Shelf], revision: int, start_key: str, limit: int, predicate: Predicate | None
) -> Page:
    found: list[Stored] = []
    for number, shelf in enumerate(shelves):
        begin = bisect.bisect_left(shelf.keys, start_key) if start_key else 0
        items = shelf.items[begin:] if begin else shelf.items
        if predicate is None and not (limit and len(found) + len(items) > limit):
            found += items
            continue
        if predicate is None:
            taken = limit - len(found)
            found += items[:taken]
            later = sum(_count_from(rest, start_key) for rest in shelves[number + 1 :])
            return Page(found, revision, found[-1].key + "\0", len(items) - taken + later)
        for at, stored in enumerate(items):
            if limit and len(found) == limit:
                # The first key that was not looked at follows directly on the last one that was.
                last = items[at - 1] if at else found[-1]
                return Page(found, revision, last.key + "\0")
            if predicate(stored):
                found.append(stored)
    return Page(found, revision)


def _count_from(shelf: Shelf, start_key: str) -> int:
    return len(shelf.keys) - (bisect.bisect_left(shelf.keys, start_key) if start_key else 0)
