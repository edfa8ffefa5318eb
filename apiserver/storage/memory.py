"""Storage in a dict, for tests and for a cluster that may forget everything."""

from __future__ import annotations

from apiserver.storage import paging
from apiserver.storage.interface import (
    NO_CHECK,
    NO_HINTS,
    Check,
    Hints,
    KeyExists,
    Modify,
    Page,
    Predicate,
    RevisionCompacted,
    RevisionConflict,
    RevisionTooLarge,
    Stored,
    Watch,
)
from apiserver.storage.stored import encode, stored
from apiserver.storage.watch_cache import WatchCache
from kubarium.apimachinery.object import Object

PATIENCE = 3.0  # seconds to wait for a revision that has not happened yet


class MemoryStorage:
    """A counter for revisions and a watch cache that is told directly. Time to live is not kept."""

    def __init__(self) -> None:
        self._cache = WatchCache()
        self._cache.advance(1)

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        await self._cache.wait_for(minimum_revision or 0, PATIENCE)
        return self._cache.get(key)

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
        if exact_revision > self._cache.revision:
            raise RevisionTooLarge(exact_revision, self._cache.revision)
        await self._cache.wait_for(minimum_revision or 0, PATIENCE)
        return await paging.in_turns(
            self._cache.page(
                prefix,
                exact_revision=exact_revision,
                start_key=start_key,
                limit=limit,
                predicate=predicate,
                hints=hints,
            )
        )

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        if after_revision < self._cache.compacted - 1:
            raise RevisionCompacted(self._cache.revision)
        return self._cache.watch(prefix, after_revision, hints)

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        if key in self._cache.objects:
            raise KeyExists(key)
        return self._keep(key, encode(obj))

    async def update(self, key: str, modify: Modify, *, ttl: int = 0) -> Stored:
        current = self._cache.get(key)
        wanted = modify(current.decode(), current.revision)
        if wanted is None:
            return current
        value = encode(wanted)
        return current if current.same_content(value) else self._keep(key, value)

    async def replace(self, key: str, obj: Object, revision: int, *, ttl: int = 0) -> Stored:
        current = self._cache.get(key)
        if current.revision != revision:
            raise RevisionConflict(key)
        value = encode(obj)
        return current if current.same_content(value) else self._keep(key, value)

    async def delete(self, key: str, check: Check = NO_CHECK) -> Stored:
        current = self._cache.get(key)
        check(current)
        revision = self._cache.revision + 1
        self._cache.apply(revision, key, None)
        self._cache.advance(revision)
        return current.at(revision)

    async def current_revision(self, prefix: str = "") -> int:
        return self._cache.revision

    def is_outdated(self, key: str) -> bool:
        return False

    def compact(self, revision: int) -> None:
        """Forget what was before a revision, as etcd does every five minutes."""
        self._cache.compacted = revision

    def _keep(self, key: str, value: bytes) -> Stored:
        revision = self._cache.revision + 1
        fresh = stored(key, revision, value)
        self._cache.apply(revision, key, fresh)
        self._cache.advance(revision)
        return fresh
