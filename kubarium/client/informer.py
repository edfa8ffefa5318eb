"""One reflector per kind per process, many listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kubarium.apimachinery.object import Object, ObjectKey, key_of, resource_version_of
from kubarium.client.lister import Lister
from kubarium.client.reflector import Reflector
from kubarium.client.rest import Client
from kubarium.client.store import IndexFunction, Store
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

METADATA_ONLY = ",".join(
    f"application/json;as={kind};g=meta.k8s.io;v=v1"
    for kind in ("PartialObjectMetadataList", "PartialObjectMetadata")
)

OnAdd = Callable[[Object, bool], None]
OnUpdate = Callable[[Object, Object], None]
OnDelete = Callable[[Object], None]


def _ignore_add(obj: Object, initial: bool) -> None: ...
def _ignore_update(old: Object, new: Object) -> None: ...
def _ignore_delete(obj: Object) -> None: ...


@dataclass(frozen=True, slots=True)
class Handler:
    """Three plain functions; they run in the order of events and must not block.

    `on_add` is told whether the object was part of the first list. A deletion that was missed during a break is
    reported with the last state that was seen.
    """

    on_add: OnAdd = _ignore_add
    on_update: OnUpdate = _ignore_update
    on_delete: OnDelete = _ignore_delete


class Informer:
    """The cache of one kind, and who wants to hear of its changes."""

    def __init__(
        self,
        client: Client,
        api_version: str,
        plural: str,
        clock: Clock,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Callable[[Object], Object] | None = None,
    ) -> None:
        self.api_version, self.plural = api_version, plural
        self._store = Store()
        self.lister = Lister(self._store)
        self._handlers: list[Handler] = []
        self._synced = asyncio.Event()
        self._transform = transform
        headers = {"Accept": METADATA_ONLY + ",application/json"} if metadata_only else None
        self._reflector = Reflector(
            client.resource(api_version, plural),
            clock,
            replace=self._replace,
            change=self._change,
            remove=self._remove,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            headers=headers,
        )

    def add_handler(
        self,
        on_add: OnAdd = _ignore_add,
        on_update: OnUpdate = _ignore_update,
        on_delete: OnDelete = _ignore_delete,
    ) -> None:
        """Hear of every change; what is already in the cache is reported as added at once."""
        handler = Handler(on_add, on_update, on_delete)
        self._handlers.append(handler)
        for obj in self._store.all():
            handler.on_add(obj, True)

    def follow(
        self, put: Callable[[Object], None], remove: Callable[[Object], None] = _ignore_delete
    ) -> None:
        """Hear of what there is now, whether it came or changed, and of what is gone."""
        self.add_handler(lambda obj, initial: put(obj), lambda old, new: put(new), remove)

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Let the lister find objects by what the function reads from them."""
        self._store.add_index(name, function)

    @property
    def has_synced(self) -> bool:
        """Has the first list arrived?"""
        return self._synced.is_set()

    async def synced(self) -> None:
        """Return when the first list has arrived."""
        await self._synced.wait()

    async def run(self) -> None:
        """Follow for ever."""
        await self._reflector.run()

    def _replace(self, items: Sequence[Object]) -> None:
        initial = not self._synced.is_set()
        gone = set(self._store.keys())
        for item in items:
            obj = self._transform(item) if self._transform else item
            gone.discard(key_of(obj))
            self._put(obj, initial)
        for key in gone:
            self._drop(key)
        self._synced.set()

    def _change(self, obj: Object) -> None:
        self._put(self._transform(obj) if self._transform else obj, False)

    def _remove(self, obj: Object) -> None:
        self._drop(key_of(obj), self._transform(obj) if self._transform else obj)

    def _put(self, obj: Object, initial: bool) -> None:
        old = self._store.put(obj)
        if old is None:
            self._tell(lambda handler: handler.on_add(obj, initial))
        elif resource_version_of(old) != resource_version_of(obj):
            self._tell(lambda handler: handler.on_update(old, obj))

    def _drop(self, key: ObjectKey, last: Object | None = None) -> None:
        old = self._store.remove(key)
        final = last if last is not None else old
        if old is not None and final is not None:
            self._tell(lambda handler: handler.on_delete(final))

    def _tell(self, say: Callable[[Handler], None]) -> None:
        for handler in self._handlers:
            try:
                say(handler)
            except Exception:  # one listener's mistake must not cost the others their events
                log.exception("a handler for %s failed", self.plural)


class Informers:
    """All informers of a process; asking twice for the same one gives the same one."""

    def __init__(
        self,
        client: Client,
        clock: Clock | None = None,
        transform: Callable[[Object], Object] | None = None,
    ) -> None:
        self._client = client
        self._transform = transform  # applied by every informer that has none of its own
        self._clock = clock or RealClock()
        self._informers: dict[tuple[object, ...], Informer] = {}
        self._tasks: dict[tuple[object, ...], asyncio.Task[None]] = {}
        self._added = asyncio.Event()

    def informer(
        self,
        api_version: str,
        plural: str,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        transform: Callable[[Object], Object] | None = None,
    ) -> Informer:
        """The informer for this kind and scope; it starts with `run`, or at once when that is running."""
        identity = (api_version, plural, namespace, label_selector, field_selector, metadata_only, transform)
        found = self._informers.get(identity)
        if found is None:
            found = self._informers[identity] = Informer(
                self._client,
                api_version,
                plural,
                self._clock,
                namespace=namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                transform=transform or self._transform,
            )
            self._added.set()
        return found

    def has(self, api_version: str, plural: str) -> bool:
        """Does somebody follow the whole of this kind, with full objects?"""
        wanted = (api_version, plural, "", "", "", False)
        return any(identity[: len(wanted)] == wanted for identity in self._informers)

    def forget(self, informer: Informer) -> None:
        """Stop following a kind."""
        for identity, known in list(self._informers.items()):
            if known is informer:
                del self._informers[identity]
                task = self._tasks.pop(identity, None)
                if task is not None:
                    task.cancel()

    async def run(self) -> None:
        """Run every informer, also those that are asked for later. One that fails is not left to grow stale."""
        try:
            while True:
                self._added.clear()
                for identity, informer in self._informers.items():
                    if identity not in self._tasks:
                        name = f"informer {informer.plural}"
                        task = asyncio.get_running_loop().create_task(informer.run(), name=name)
                        task.add_done_callback(lambda _: self._added.set())
                        self._tasks[identity] = task
                for task in self._tasks.values():
                    if task.done():
                        task.result()
                await self._added.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values())

    @property
    def has_synced(self) -> bool:
        """Has every informer asked for so far its first list?"""
        return all(informer.has_synced for informer in self._informers.values())

    async def synced(self) -> None:
        """Return when every informer asked for so far has its first list."""
        for informer in list(self._informers.values()):
            await informer.synced()
