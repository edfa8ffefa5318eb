"""Follow every kind that can be deleted, and feed the graph.

Only metadata is read. Kinds that other controllers follow anyway are taken from their informers. Custom resources come
and go with their definitions: discovery is asked every half minute, and at once when a definition changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controller_manager.controllers.cleanup.garbage_collector.graph import Graph, Look, place_of
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, uid_of
from kubarium.client.discovery import Discovered, Discovery
from kubarium.client.informer import Informer, Informers
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

PERIOD = 30.0  # seconds between two looks at discovery
SYNC_SECONDS = 30.0  # how long a kind may take to list before the others go ahead without it
MOMENT = 1.0  # seconds; a definition is served so long after it is stored

IGNORED = frozenset({("", "events"), ("events.k8s.io", "events")})
"""Kinds that never take part: they own nothing, and there are many."""

KEPT = ("name", "namespace", "uid", "resourceVersion", "ownerReferences", "finalizers", "deletionTimestamp")


def only_links(obj: Object) -> Object:
    """What the graph needs of an object, and no more."""
    metadata = obj["metadata"]
    return {"metadata": {key: metadata[key] for key in KEPT if key in metadata}}


class Watcher:
    """Keeps one informer per deletable kind, and knows where kinds are served."""

    def __init__(
        self,
        informers: Informers,
        discovery: Discovery,
        graph: Graph,
        look: Callable[[Look], None],
        clock: Clock,
    ) -> None:
        self._informers, self._discovery, self._graph = informers, discovery, graph
        self._look, self._clock = look, clock
        self._followed: dict[tuple[str, str], Informer] = {}
        self._lent: set[tuple[str, str]] = set()  # informers that belong to other controllers
        self._kinds: dict[tuple[str, str], Discovered] = {}
        self._changed = asyncio.Event()

    def served(self, group: str, kind: str) -> Discovered | None:
        """How to reach objects of a kind, if the server has it."""
        return self._kinds.get((group, kind))

    def look_soon(self) -> None:
        """A definition has changed: ask discovery again."""
        self._changed.set()

    async def run(self) -> None:
        """Follow what discovery names, for ever."""
        while True:
            try:
                async with asyncio.timeout(PERIOD):
                    await self._changed.wait()
                await self._clock.sleep(MOMENT)
            except TimeoutError:
                pass
            try:
                await self.refresh()
            except (errors.StatusError, ConnectionError, TimeoutError) as error:
                log.info("cannot ask discovery: %s", error)

    async def refresh(self) -> None:
        """Start following new kinds, stop following those that are gone, wait for their first lists.

        A kind that goes meanwhile is not waited for: it will never be listed.
        """
        end = asyncio.get_running_loop().time() + SYNC_SECONDS
        while True:
            self._changed.clear()  # what changes from now on may be missing in what is read here
            await self._compare()
            if await self._all_synced(end):
                return

    async def _compare(self) -> None:
        failures: list[str] = []
        kinds = await self._discovery.kinds(failures)
        self._kinds.update({(kind.group, kind.kind): kind for kind in kinds if "get" in kind.verbs})
        wanted = {
            (kind.group, kind.plural): kind
            for kind in kinds
            if {"delete", "list", "watch"} <= kind.verbs and (kind.group, kind.plural) not in IGNORED
        }
        for key, kind in wanted.items():
            if key not in self._followed:
                self._follow(key, kind)
        if not failures:
            for key in set(self._followed) - set(wanted):
                self._unfollow(key)

    async def _all_synced(self, end: float) -> bool:
        """Are all lists there, or is the time over? No: definitions have changed since."""
        lists = asyncio.ensure_future(self._lists())
        news = asyncio.ensure_future(self._changed.wait())
        try:
            left = max(0.0, end - asyncio.get_running_loop().time())
            await asyncio.wait({lists, news}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                await asyncio.wait({lists}, timeout=MOMENT)
        finally:
            lists.cancel()
            news.cancel()
        if lists.done() or asyncio.get_running_loop().time() < end:
            return lists.done()
        waiting = [informer.plural for informer in self._followed.values() if not informer.has_synced]
        log.warning("going on without the lists of %s", ", ".join(waiting))
        return True

    async def _lists(self) -> None:
        for informer in list(self._followed.values()):
            await informer.synced()

    def _follow(self, key: tuple[str, str], kind: Discovered) -> None:
        if self._informers.has(kind.api_version, kind.plural):
            self._lent.add(key)
            informer = self._informers.informer(kind.api_version, kind.plural)
        else:
            informer = self._informers.informer(
                kind.api_version, kind.plural, metadata_only=True, transform=only_links
            )
        self._followed[key] = informer

        def put(obj: Object) -> None:
            if self._followed.get(key) is informer:
                self._look(self._graph.put(obj, place_of(obj, kind.group, kind.kind)))

        def gone(obj: Object) -> None:
            if self._followed.get(key) is informer:
                self._look(self._graph.remove(uid_of(obj)))

        informer.follow(put, gone)

    def _unfollow(self, key: tuple[str, str]) -> None:
        informer = self._followed.pop(key)
        for obj in informer.lister.list():
            self._look(self._graph.remove(uid_of(obj)))
        self._kinds = {name: kind for name, kind in self._kinds.items() if (kind.group, kind.plural) != key}
        if key in self._lent:
            self._lent.discard(key)
        else:
            self._informers.forget(informer)
