"""The protocol between the registry and whatever keeps objects.

Keys are etcd keys: `/registry/pods/default/web`. A revision is etcd's: one counter for everything, and an object's
`resourceVersion` is the revision of its last change. Objects that come out are shared and read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from apiserver.storage.stored import Stored
from kubarium.apimachinery.object import Object

__all__ = [
    "NO_CHECK", "NO_HINTS",
    "Batch", "CannotSeal", "Change", "Check", "Hints", "KeyExists", "KeyNotFound", "Modify", "Page", "Predicate",
    "Refused", "RevisionCompacted", "RevisionConflict", "RevisionTooLarge", "Storage", "StorageError",
    "StorageRefused", "StorageUnavailable", "Stored", "Taker", "Watch",
]  # fmt: skip


class StorageError(Exception):
    """What storage can answer besides an object; the registry turns it into a `StatusError`."""


class KeyNotFound(StorageError):
    """Nothing is kept under the key."""


class KeyExists(StorageError):
    """Something is kept under the key already."""


class RevisionConflict(StorageError):
    """The object changed since the revision that the caller named."""


class RevisionCompacted(StorageError):
    """The revision is too old: etcd has forgotten it."""

    def __init__(self, current: int = 0, oldest: int = 0) -> None:
        super().__init__("etcdserver: mvcc: required revision has been compacted")
        self.current = current
        self.oldest = oldest  # the first revision that is still known, if that was said


class RevisionTooLarge(StorageError):
    """The revision has not happened yet, and did not happen while we waited."""

    def __init__(self, wanted: int, current: int) -> None:
        super().__init__(f"Too large resource version: {wanted}, current: {current}")
        self.wanted, self.current = wanted, current


class StorageUnavailable(StorageError):
    """etcd does not answer."""


class StorageRefused(StorageError):
    """etcd has understood, and will not: the object is too large, the disk is full."""


class CannotSeal(StorageError):
    """The value may not be written: it is to be encrypted, and there is no key that may be used."""


class Refused(StorageError):
    """Whoever was to change an object will not, as it is now; for a `modify` that has no `StatusError` to raise."""


Predicate = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True)
class Hints:
    """What a predicate demands exactly, so that an index can help; every hint is implied by the predicate."""

    name: str | None = None
    node_name: str | None = None  # spec.nodeName
    labels: tuple[tuple[str, str], ...] = ()


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of one revision."""

    items: Sequence[Stored]
    revision: int
    next_key: str = ""  # the key after the last one looked at; empty when this is the last page
    remaining: int = 0  # objects after this page; not counted through a predicate


@dataclass(slots=True, eq=False)
class Change:
    """One step in the life of one key.

    `current` is None for a deletion; then `previous` is the last state, and `revision` that of the deletion.
    `previous` is None when the key was created. Initial events of a watch have no `previous` either.
    """

    revision: int
    key: str
    current: Stored | None
    previous: Stored | None
    wire: dict[Any, bytes] = field(default_factory=dict, repr=False)
    """The change as events, one for each form that a watcher asked for: encoded once, sent to all."""


class Batch(list[Change]):
    """Changes that many watchers get together."""

    __slots__ = ("wire",)

    def __init__(self) -> None:
        self.wire: dict[Hashable, bytes] = {}
        """The batch as bytes, one for each form that a watcher asked for."""


Taker = Callable[[Batch], bool]
"""Takes a batch at once, without waiting, or says that it cannot."""


class Watch(Protocol):
    """Changes after a revision, in order, for ever; ends when the watcher is too slow or the history has a gap.

    Whoever opens a watch closes it. After the end a new watch may find its revision forgotten: then list again.
    """

    def __aiter__(self) -> Watch:
        """Batches of changes; what gathered while the last batch was worked on comes as one."""
        ...

    async def __anext__(self) -> Sequence[Change]:
        """The next batch."""
        ...

    @property
    def revision(self) -> int:
        """Every change up to this revision has been handed out: good for a bookmark."""
        ...

    def take(self) -> Sequence[Change]:
        """What is there already, possibly nothing, without waiting."""
        ...

    def hand_to(self, taker: Taker) -> None:
        """From now on batches may be offered to a taker instead of a waiting `__anext__`, where that is faster."""
        ...

    def wake(self) -> None:
        """Let a waiting `__anext__` return, though perhaps with nothing."""
        ...

    @property
    def ended(self) -> bool:
        """Will nothing more come?"""
        ...

    def close(self) -> None:
        """No more changes."""
        ...


Modify = Callable[[Object, int], "Object | None"]
"""Gets a copy of the stored object (with `resourceVersion`) and its revision; returns what to keep, or None.

It may refuse with a StatusError or a StorageError; if the object was not the newest one, it is asked again.
"""


Check = Callable[[Stored], None]
"""Looks at an object before it is deleted; refuses as a `Modify` does, and is asked again as one."""


def NO_CHECK(stored: Stored) -> None:
    """Delete whatever is there."""


class Storage(Protocol):
    """Get, list, watch, create, update, delete: with revisions."""

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        """The object; with `minimum_revision=0` any cached state will do, with None the newest. Raises KeyNotFound."""
        ...

    async def list(
        self,
        prefix: str,
        *,
        minimum_revision: int | None = None,
        exact_revision: int = 0,
        start_key: str = "",
        limit: int = 0,
        predicate: Predicate | None = None,
        hints: Hints = NO_HINTS,
    ) -> Page:
        """Objects whose keys start with `prefix` (which ends in `/`), in the order of keys.

        Raises RevisionCompacted, RevisionTooLarge.
        """
        ...

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        """Changes after a revision. Raises RevisionCompacted when the start is too old."""
        ...

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        """Keep a new object, for `ttl` seconds if that is given. Raises KeyExists."""
        ...

    async def update(self, key: str, modify: Modify, *, ttl: int = 0) -> Stored:
        """Change an object with a function, again and again until nobody was faster. Raises KeyNotFound.

        The first try is made on the cached object. When `modify` returns None or an equal object nothing is written
        and the current state is returned.
        """
        ...

    async def replace(self, key: str, obj: Object, revision: int, *, ttl: int = 0) -> Stored:
        """Keep a new state of an object that is still at `revision`. Raises RevisionConflict, KeyNotFound."""
        ...

    async def delete(self, key: str, check: Check = NO_CHECK) -> Stored:
        """Remove an object for which `check` does not raise; returns its last state at the deletion's revision."""
        ...

    async def current_revision(self, prefix: str = "") -> int:
        """The newest revision, of what is kept below a prefix: not everything need be in one etcd."""
        ...

    def is_outdated(self, key: str) -> bool:
        """Should the object be written again although nothing has changed, because another key encrypts now?"""
        ...
