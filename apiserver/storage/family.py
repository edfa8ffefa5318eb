"""One resource in memory: its objects in the order of their keys, what recently happened to them, indexes for lists.

Family `/registry/pods/` ──▶ Shelf `/registry/pods/default/`    keys and objects, sorted
                          ├── history                            the last changes, for watches and lists of the past
                          ├── Index by label or node             made when first asked for, let go when idle
                          └── audiences                          who wants to know (`audience.py`)
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable

from apiserver.storage.audience import Audience
from apiserver.storage.interface import Change, Hints, RevisionCompacted, Stored

ROOT = "/registry/"
SHORTEST_HISTORY = 512  # changes of a family that are always kept
LONGEST_HISTORY = 100 * 1024  # changes of a family that are kept at most
LARGEST_HISTORY = 64 << 20  # bytes of objects in a family's changes
FRESH = 75.0  # seconds for which changes are kept if the longest and the largest history have room for them
WIRES_KEPT = (
    256  # changes of a family that keep what they looked like as events, for watchers who come a bit later
)
CHANGE_SIZE = 500  # bytes that a change takes besides its object
INDEX_FROM = 500  # objects of a family from which on an index pays
INDEXES_KEPT = 8  # of a family
GROWTH = 200  # objects that an index takes in at a time: a millisecond's work
INDEX_IDLE = 600.0  # seconds after which an index that nobody asks is let go
SELECTIVE = (
    0.25  # share of a family up to which going through an index is faster than going through everything
)


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


class Shelf:
    """The objects directly below one prefix, in the order of their keys."""

    __slots__ = ("items", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.items: list[Stored] = []  # in step with `keys`

    def put(self, key: str, stored: Stored | None) -> Stored | None:
        """Place an object, or with None remove it; returns what stood there."""
        keys = self.keys
        at = len(keys) if keys and keys[-1] < key else bisect.bisect_left(keys, key)
        if at < len(keys) and keys[at] == key:
            previous = self.items[at]
            if stored is None:
                del keys[at], self.items[at]
            else:
                self.items[at] = stored
            return previous
        if stored is not None:
            keys.insert(at, key)
            self.items.insert(at, stored)
        return None


Reader = Callable[[Stored], "str | None"]


class Index:
    """The objects of a family by one thing that selectors ask for.

    It grows out of the objects that were there when it was first asked for, some at a time; what changes meanwhile is
    put at once, and what was there of it before is passed over.
    """

    def __init__(self, read: Reader, now: float, there: Iterable[Stored] = ()) -> None:
        self._read = read
        self._found: dict[str, dict[str, Stored]] = {}
        self._there = iter(there)
        self._changed: set[str] = set()  # keys that were put while it grew
        self.grown = False
        self.asked = now  # when it was last needed

    def grow(self) -> None:
        """Take in some more of what was there."""
        some = [*itertools.islice(self._there, GROWTH)]
        for stored in some:
            if stored.key not in self._changed:
                self._take(stored.key, stored)
        if len(some) < GROWTH:
            self.grown = True
            self._changed.clear()

    def put(self, key: str, previous: Stored | None, current: Stored | None) -> None:
        """Keep up with one change."""
        if not self.grown:
            self._changed.add(key)
        if previous is not None and (before := self._read(previous)) is not None:
            place = self._found.get(before, {})
            place.pop(key, None)
            if not place:
                self._found.pop(before, None)
        if current is not None:
            self._take(key, current)

    def _take(self, key: str, stored: Stored) -> None:
        value = self._read(stored)
        if value is not None:
            self._found.setdefault(value, {})[key] = stored

    def under(self, value: str) -> dict[str, Stored]:
        """The objects with a value, by key."""
        return self._found.get(value, {})


class Family:
    """One resource: its shelves, its recent history, its audiences."""

    def __init__(self, prefix: str, forgotten: int) -> None:
        self.prefix = prefix
        self.shelves: dict[str, Shelf] = {}
        self.order: list[str] = []  # keys of `shelves`, sorted
        self.history: deque[Change] = deque()
        self.times: deque[float] = deque()  # when, in step with `history`
        self.size = 0  # bytes of objects in `history`
        self.forgotten = forgotten  # the history is complete after this revision
        self.audiences: dict[str, Audience] = {}
        self._indexes: dict[str, Index] = {}  # by label, or empty: by node

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
        for index in self._indexes.values():
            index.put(key, previous, stored)
        return previous

    def count(self) -> int:
        """How many objects there are."""
        return sum(len(shelf.keys) for shelf in self.shelves.values())

    # ------------------------------------------------------------------------------------------------- history

    def remember(self, change: Change, now: float) -> None:
        """Add to the history, and forget what is old enough."""
        self.history.append(change)
        self.times.append(now)
        self.size += _size_of(change)
        if len(self.history) > WIRES_KEPT:
            self.history[-WIRES_KEPT - 1].wire.clear()
        self.forget(now)

    def forget(self, now: float) -> None:
        """Let go of history that is too long, too large or old enough."""
        while self.history and (
            (len(self.history) > SHORTEST_HISTORY and self.times[0] < now - FRESH)
            or len(self.history) > LONGEST_HISTORY
            or self.size > LARGEST_HISTORY
        ):
            change = self.history.popleft()
            self.times.popleft()
            self.forgotten = change.revision
            self.size -= _size_of(change)

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

    # ------------------------------------------------------------------------------------------------- finding

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

    def candidates(self, hints: Hints, now: float) -> Generator[None, None, Collection[Stored] | None]:
        """A small superset of what the hints demand, in any order; None if going through everything is as good.

        Pauses while an index grows, if it must; several who need the same one grow it together.
        """
        wanted = [*hints.labels, *([("", hints.node_name)] if hints.node_name is not None else ())]
        if not wanted or self.count() < INDEX_FROM:
            return None
        indexes = [(self._index(label, now), label, value) for label, value in wanted]
        for index, _, _ in indexes:
            while not index.grown:
                index.grow()
                yield
        if any(self._indexes.get(label) is not index for index, label, _ in indexes):
            return None  # others were wanted more
        smallest = min((index.under(value) for index, _, value in indexes), key=len)
        return smallest.values() if len(smallest) <= SELECTIVE * self.count() else None

    def let_go(self, now: float) -> None:
        """Drop the indexes that nobody has asked for a while."""
        idle = [label for label, index in self._indexes.items() if index.asked < now - INDEX_IDLE]
        for label in idle:
            del self._indexes[label]

    def _index(self, label: str, now: float) -> Index:
        index = self._indexes.get(label)
        if index is not None:
            index.asked = now
            return index
        if len(self._indexes) >= INDEXES_KEPT:
            del self._indexes[min(self._indexes, key=lambda at: self._indexes[at].asked)]
        there = [stored for shelf in self.shelves.values() for stored in shelf.items]
        index = self._indexes[label] = Index(_reader(label), now, there)
        return index


def _reader(label: str) -> Reader:
    if not label:
        return lambda stored: stored.node_name
    return lambda stored: stored.labels.get(label)


def _size_of(change: Change) -> int:
    """About what a change keeps in memory; the state before an update is mostly kept by another change as well."""
    newest = change.current if change.current is not None else change.previous
    return CHANGE_SIZE + (len(newest.tail) if newest is not None else 0)
