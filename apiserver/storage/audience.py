"""Who wants to know: subscriptions to what happens below a prefix, indexed by what they demand exactly.

Audience.tell(change) ──▶ Subscription.offer ──▶ a bounded queue ──▶ hand_out: a taker, or a woken task
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from apiserver.storage.interface import Change, Hints, Taker
from kubarium.component_base import logging

log = logging.get(__name__)

QUEUE_LIMIT = 4096  # changes that a watcher may lag behind before it is ended
LARGEST_QUEUE = 64 << 20  # bytes of objects in these changes
_WEIGHED_EVERY = 32  # changes: what a queue holds is summed up now and then only


class Source(Protocol):
    """What a subscription must know of the cache that it belongs to."""

    revision: int

    def due(self, subscription: Subscription) -> None:
        """Note that somebody is to be handed something with the next `advance`."""
        ...

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        ...


class Subscription:
    """A watch on the cache: a bounded queue between `apply` and one watcher.

    Changes are queued by `apply` and handed out by `advance`. A watcher that waits and has left a taker gets them there
    and then, without its task being woken: with a thousand watchers that is a third of the work. What the taker
    refuses stays queued, and the watcher is woken to deal with it.
    """

    def __init__(
        self, cache: Source, prefix: str, after: int, hints: Hints, missed: Sequence[Change]
    ) -> None:
        self._cache = cache
        self.prefix = prefix
        self.hints = hints
        self._after = after  # changes up to here are known to the watcher already
        self._queue: deque[Change] = deque(missed)
        self._waiting: asyncio.Future[None] | None = None
        self._taker: Taker | None = None
        self._due = False  # the cache has noted that we are to be handed something
        self.handed_at = 0.0  # when that last happened, in the loop's time
        self.ended = False

    def __aiter__(self) -> Subscription:
        return self

    def hand_to(self, taker: Taker) -> None:
        """Offer batches to a taker first, as long as the watcher waits."""
        self._taker = taker

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
        if len(self._queue) >= QUEUE_LIMIT or self._is_too_heavy():
            log.info("a watcher of %s lags behind too far: ending its watch", self.prefix)
            self._queue.clear()
            self.close()
            return
        self._queue.append(change)
        if self._waiting is not None and not self._due:
            self._due = True
            self._cache.due(self)

    def _is_too_heavy(self) -> bool:
        count = len(self._queue)
        return (
            count > 0
            and count % _WEIGHED_EVERY == 0
            and sum(len(change.current.tail) for change in self._queue if change.current is not None)
            > LARGEST_QUEUE
        )

    def hand_out(self, now: float) -> None:
        """Give the watcher what is queued, or wake it."""
        self._due = False
        self.handed_at = now
        waiting = self._waiting
        if waiting is None or waiting.done() or not self._queue:
            return  # it will come by itself, or has come meanwhile
        if self._taker is not None:
            batch = [*self._queue]
            try:
                taken = self._taker(batch)
            except (
                Exception
            ):  # the edge: one watcher must not stop the cache; its own task meets the error again
                log.exception("a watcher of %s could not take its changes", self.prefix)
                taken = False
            if taken:
                self._after = batch[-1].revision
                self._queue.clear()
                return
        waiting.set_result(None)

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
