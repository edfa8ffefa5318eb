"""The protocol between the registry and whatever keeps objects.

Keys are etcd keys: `/registry/pods/default/web`. A revision is etcd's: one counter for everything, and an object's
`resourceVersion` is the revision of its last change. Objects that come out are shared and read-only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from kubarium.apimachinery.object import Object


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

    def __init__(self, current: int = 0) -> None:
        super().__init__("etcdserver: mvcc: required revision has been compacted")
        self.current = current


class RevisionTooLarge(StorageError):
    """The revision has not happened yet, and did not happen while we waited."""

    def __init__(self, wanted: int, current: int) -> None:
        super().__init__(f"Too large resource version: {wanted}, current: {current}")
        self.wanted, self.current = wanted, current


class StorageUnavailable(StorageError):
    """etcd does not answer."""


class Stored(Protocol):
    """One object at one revision. Decoding happens when `obj` is first asked for, and once."""

    @property
    def key(self) -> str:
        """Where it is kept."""
        ...

    @property
    def revision(self) -> int:
        """The revision of its last change."""
        ...

    @property
    def obj(self) -> Object:
        """The object with its `resourceVersion`; shared, read-only."""
        ...

    @property
    def json(self) -> bytes:
        """The object as it goes to clients: JSON with its `resourceVersion`."""
        ...


Predicate = Callable[[Stored], bool]


@dataclass(frozen=True, slots=True)
class Hints:
    """What a predicate demands exactly, so that an index can help; every hint is implied by the predicate."""

    name: str | None = None
    node_name: str | None = None  # spec.nodeName


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of one revision."""

    items: Sequence[Stored]
    revision: int
    next_key: str = ""  # the key after the last one looked at; empty when this is the last page
    remaining: int = 0  # objects after this page; not counted through a predicate


@dataclass(frozen=True, slots=True)
class Change:
    """One step in the life of one key.

    `current` is None for a deletion; then `previous` is the last state, and `revision` that of the deletion.
    `previous` is None when the key was created. Initial events of a watch have no `previous` either.
    """

    revision: int
    key: str
    current: Stored | None
    previous: Stored | None


Modify = Callable[[Object, int], "Object | None"]
"""Gets a copy of the stored object (with `resourceVersion`) and its revision; returns what to keep, or None for no change.

May raise whatever it likes; it is called again with the newer object after a conflict.
"""


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
        hints: Hints = Hints(),
    ) -> Page:
        """Objects whose keys start with `prefix` (which ends in `/`), in key order. Raises RevisionCompacted, RevisionTooLarge."""
        ...

    def watch(
        self,
        prefix: str,
        *,
        after_revision: int,
        hints: Hints = Hints(),
    ) -> AsyncIterator[Sequence[Change]]:
        """Batches of changes after a revision, in order, for ever. Raises RevisionCompacted when the start is too old."""
        ...

    async def create(self, key: str, obj: Object) -> Stored:
        """Keep a new object. Raises KeyExists."""
        ...

    async def update(self, key: str, modify: Modify) -> Stored:
        """Change an object with a function, again and again until nobody was faster. Raises KeyNotFound.

        The first try is made on the cached object. When `modify` returns None or an equal object nothing is written
        and the current state is returned.
        """
        ...

    async def replace(self, key: str, obj: Object, revision: int) -> Stored:
        """Keep a new state of an object that is still at `revision`. Raises RevisionConflict, KeyNotFound."""
        ...

    async def delete(
        self, key: str, check: Callable[[Object, int], None] = lambda obj, revision: None
    ) -> Stored:
        """Remove an object for which `check` does not raise; returns its last state at the deletion's revision."""
        ...

    async def current_revision(self) -> int:
        """The newest revision."""
        ...
