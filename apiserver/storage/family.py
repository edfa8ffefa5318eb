"""One resource in memory: its objects in the order of their keys, what recently happened to them, indexes for lists.

Family `/registry/pods/` ──▶ Shelf `/registry/pods/default/`    keys and objects, sorted
                          ├── history                            the last changes, for watches and lists of the past
                          ├── Index by label or node             made when first asked for, let go when idle
                          └── audiences                          who wants to know (`audience.py`)
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Collection

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
    """The objects of a family by one thing that selectors ask for."""

    def __init__(self, read: Reader, now: float) -> None:
        self._read = read
        self._found: dict[str, dict[str, Stored]] = {}
        self.asked = now  # when it was last needed

    def put(self, key: str, previous: Stored | None, current: Stored | None) -> None:
        """Keep up with one change."""
        before = self._read(previous) if previous is not None else None
        now = self._read(current) if current is not None else None
        if before is not None and before != now:
            place = self._found[before]
            del place[key]
            if not place:
                del self._found[before]
        if now is not None and current is not None:
            self._found.setdefault(now, {})[key] = current

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

    def candidates(self, hints: Hints, now: float) -> Collection[Stored] | None:
        """A small superset of what the hints demand, in any order; None if going through everything is as good."""
        if hints.node_name is None and not hints.labels:
            return None
        total = self.count()
        if total < INDEX_FROM:
            return None
        found = [self._index(label, now).under(value) for label, value in hints.labels]
        if hints.node_name is not None:
            found.append(self._index("", now).under(hints.node_name))
        smallest = min(found, key=len)
        return smallest.values() if len(smallest) <= SELECTIVE * total else None

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
        index = self._indexes[label] = Index(_reader(label), now)
        for shelf in self.shelves.values():
            for stored in shelf.items:
                index.put(stored.key, None, stored)
        return index


def _reader(label: str) -> Reader:
    if not label:
        return lambda stored: stored.node_name
    return lambda stored: stored.labels.get(label)


def _size_of(change: Change) -> int:
    """About what a change keeps in memory; the state before an update is mostly kept by another change as well."""
    newest = change.current if change.current is not None else change.previous
    return CHANGE_SIZE + (len(newest.tail) if newest is not None else 0)
