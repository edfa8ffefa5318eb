"""Watched kinds become keys, keys are reconciled, failures are tried again.

A controller is its `watches` and its `reconcile`:

    class ReplicaSetController(Controller):
        name = "replicaset-controller"

        def watches(self) -> Sequence[Watch]:
            return [Watch("apps/v1", "replicasets"), Watch("v1", "pods", keys=self.owners_of)]

        async def reconcile(self, key: ObjectKey) -> None: ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey, key_of
from kubarium.client.informer import Informer, Informers
from kubarium.client.rest import Client
from kubarium.client.work_queue import ShutDown, WorkQueue
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

TURNS = logging.at(4)

Keys = Callable[[Object], Iterable[ObjectKey]]


def own_key(obj: Object) -> Iterable[ObjectKey]:
    """The object itself is to be reconciled."""
    return (key_of(obj),)


@dataclass(frozen=True)
class Watch:
    """A kind whose changes matter, and whom they concern.

    `on_add`, `on_update` and `on_delete` hear of an event before its keys are queued: for expectations.
    """

    api_version: str
    plural: str
    keys: Keys = own_key
    on_add: Callable[[Object], None] | None = None
    on_update: Callable[[Object, Object], None] | None = None
    on_delete: Callable[[Object], None] | None = None
    changed: Callable[[Object, Object], bool] | None = None  # is an update of interest?
    delay: float = 0.0  # seconds for which keys are held back, to take later changes along
    metadata_only: bool = False


class Controller:
    """The loop around `reconcile`. Level-triggered: a key says that something changed, not what.

    `reconcile` reads the newest state, takes a step, and returns; a number it returns is the seconds after which the
    key is looked at again. An exception puts the key back with growing delay.
    """

    name = "controller"
    queue_name = ""  # in metrics; without one its own name, cut short
    workers = 5
    backoff = Backoff(initial=0.005, maximum=1000.0)

    def __init__(self, client: Client, informers: Informers, clock: Clock | None = None) -> None:
        self.client = client
        self.informers = informers
        self.clock = clock or RealClock()
        queue_name = self.queue_name or self.name.removesuffix("-controller")
        self.queue: WorkQueue[ObjectKey] = WorkQueue(self.clock, self.backoff, queue_name)
        self._watched: list[Informer] = []
        for watch in self.watches():
            self._listen(watch)

    def watches(self) -> Sequence[Watch]:
        """What this controller looks at."""
        return ()

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bring one object a step closer to its wish."""
        raise NotImplementedError

    async def run(self) -> None:
        """Wait for the caches, then work until cancelled."""
        for informer in self._watched:
            await informer.synced()
        await self.started()
        log.info("%s started", self.name)
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self.workers):
                    group.create_task(self._work(), name=f"{self.name} worker {number}")
        finally:
            self.queue.shut_down()

    async def started(self) -> None:
        """Called once the caches are filled and before the first key is worked on."""

    def enqueue(self, obj: Object) -> None:
        """Reconcile this object."""
        self.queue.add(key_of(obj))

    def informer(self, api_version: str, plural: str) -> Informer:
        """The informer of a kind, waited for before the controller starts."""
        informer = self.informers.informer(api_version, plural)
        if informer not in self._watched:
            self._watched.append(informer)
        return informer

    def _listen(self, watch: Watch) -> None:
        informer = self.informers.informer(watch.api_version, watch.plural, metadata_only=watch.metadata_only)
        if informer not in self._watched:
            self._watched.append(informer)

        def queue_keys(obj: Object) -> None:
            for key in watch.keys(obj):
                if watch.delay:
                    self.queue.add_after(key, watch.delay)
                else:
                    self.queue.add(key)

        def on_add(obj: Object, initial: bool) -> None:
            if watch.on_add is not None:
                watch.on_add(obj)
            queue_keys(obj)

        def on_update(old: Object, new: Object) -> None:
            if watch.on_update is not None:
                watch.on_update(old, new)
            if watch.changed is not None and not watch.changed(old, new):
                return
            queue_keys(old)  # whoever it belonged to before has lost it
            queue_keys(new)

        def on_delete(obj: Object) -> None:
            if watch.on_delete is not None:
                watch.on_delete(obj)
            queue_keys(obj)

        informer.add_handler(on_add, on_update, on_delete)

    async def _work(self) -> None:
        while True:
            try:
                key = await self.queue.get()
            except ShutDown:
                return
            try:
                again = await self.reconcile(key)
            except (errors.Conflict, errors.NotFound, errors.AlreadyExists) as error:
                # The cache is behind the API server; by the next try it will have caught up.
                log.debug("%s: %s changed meanwhile: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except (ConnectionError, TimeoutError) as error:
                log.debug("%s: %s: no connection: %s", self.name, key, error)
                self.queue.add_rate_limited(key)
            except Exception as error:  # the edge of the loop: the next key gets its turn
                surprising = errors.is_surprising(error)
                log.warning("%s: cannot reconcile %s: %s", self.name, key, error, exc_info=surprising)
                self.queue.add_rate_limited(key)
            else:
                log.log(TURNS, "%s: reconciled %s", self.name, key)
                self.queue.forget(key)
                if again is not None:
                    self.queue.add_after(key, again)
            finally:
                self.queue.done(key)
