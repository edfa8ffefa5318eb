"""Several etcds as one storage: `--etcd-servers-overrides` names resources that live in an etcd of their own.

    SplitStorage ─▶ Cacher over the etcd of `--etcd-servers`          everything else
                 └▶ Cacher over another one                            `/registry/events/`

Each etcd has revisions of its own. No list and no watch goes over several resources, so that nobody sees two of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from apiserver.configuration import ConfigurationError
from apiserver.storage import metrics
from apiserver.storage.cacher import Cacher
from apiserver.storage.family import family_of
from apiserver.storage.interface import (
    NO_CHECK,
    NO_HINTS,
    Check,
    Hints,
    Modify,
    Page,
    StorageError,
    Stored,
    Watch,
)
from kubarium.apimachinery.object import Object

Place = tuple[str, str]  # group and resource; the resource `*` stands for all of the group

_ALL = "*"
_MALFORMED = (
    "--etcd-servers-overrides invalid, must be of format: group/resource#servers, where servers are URLs, "
    "semicolon separated"
)


def overrides(texts: Iterable[str]) -> dict[Place, tuple[str, ...]]:
    """Which servers keep which resource, by `group/resource#url;url`. Raises ConfigurationError."""
    found: dict[Place, tuple[str, ...]] = {}
    for text in texts:
        place, hash_mark, rest = text.partition("#")
        servers = tuple(rest.split(";"))
        if not hash_mark or "#" in rest or place.count("/") != 1 or not all(servers):
            raise ConfigurationError(_MALFORMED)
        group, _, resource = place.partition("/")
        found[group, resource] = servers
    return found


class SplitStorage:
    """A `Storage` that asks the cache in front of the etcd that keeps the resource."""

    def __init__(self, main: Cacher, others: Mapping[Place, Cacher]) -> None:
        self._main, self._by_place = main, others
        self._by_family: dict[str, Cacher] = {}
        self.others = [*dict.fromkeys(others.values())]

    def place(self, families: Mapping[str, Place]) -> None:
        """Learn the resource of each family: the prefix of its keys need not say it."""
        for family, (group, resource) in families.items():
            found = self._by_place.get((group, resource)) or self._by_place.get((group, _ALL))
            if found is not None:
                self._by_family[family] = found

    def _of(self, key: str) -> Cacher:
        return self._by_family.get(family_of(key), self._main)

    @property
    def _all(self) -> list[Cacher]:
        return [self._main, *self.others]

    # --------------------------------------------------------------------------------------------- as a Storage

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        return await self._of(key).get(key, minimum_revision=minimum_revision)

    def list(self, prefix: str, **query: Any) -> Coroutine[Any, Any, Page]:
        return self._of(prefix).list(prefix, **query)

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        return await self._of(prefix).watch(prefix, after_revision=after_revision, hints=hints)

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        return await self._of(key).create(key, obj, ttl=ttl)

    async def update(self, key: str, modify: Modify, *, ttl: int = 0) -> Stored:
        return await self._of(key).update(key, modify, ttl=ttl)

    async def replace(self, key: str, obj: Object, revision: int, *, ttl: int = 0) -> Stored:
        return await self._of(key).replace(key, obj, revision, ttl=ttl)

    async def delete(self, key: str, check: Check = NO_CHECK) -> Stored:
        return await self._of(key).delete(key, check)

    async def current_revision(self, prefix: str = "") -> int:
        return await self._of(prefix).current_revision(prefix)

    def is_outdated(self, key: str) -> bool:
        return self._of(key).is_outdated(key)

    # ---------------------------------------------------------------------------------------------- as a Cacher

    async def check(self) -> None:
        """Raise if the main etcd does not answer; the others have checks of their own."""
        await self._main.check()

    async def filled(self) -> None:
        """Return when all caches hold everything for the first time."""
        await asyncio.gather(*(one.filled() for one in self._all))

    def weigh(self, prefix: str) -> tuple[int, int]:
        """How many objects are below a prefix, and how many bytes one of them has."""
        return self._of(prefix).weigh(prefix)

    def end_watches(self, prefix: str = "") -> None:
        """Close all watches below a prefix, or all."""
        for one in [self._of(prefix)] if prefix else self._all:
            one.end_watches(prefix)

    async def measure(self) -> None:
        """Say how much there is, for whoever looks at the metrics."""
        counts = {
            family: count
            for one in self._all
            for family, count in one.counts().items()
            if self._of(family) is one
        }
        metrics.read_objects(counts)
        with contextlib.suppress(StorageError):
            metrics.note_sizes([await one.size() for one in self._all])
