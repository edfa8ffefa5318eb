"""Who wants to know: subscriptions to what happens below a prefix, indexed by what they demand exactly.

    Audience.tell(change) ──▶ Company.tell ─┬─▶ those in step: one batch for all ──▶ hand_out: the taker of each
                                            └─▶ the others: Subscription.offer, their queues ──▶ hand_out: a wake-up

Nothing is done for each of a thousand watchers but the call of a function that sends.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from apiserver.storage.interface import Batch, Change, Hints, Taker
from kubarium.component_base import logging

log = logging.get(__name__)

QUEUE_LIMIT = 4096  # changes that a watcher may lag behind before it is ended
LARGEST_QUEUE = 64 << 20  # bytes of objects in these changes
_WEIGHED_EVERY = 32  # changes: what a queue holds is summed up now and then only


class Recipient(Protocol):
    """Somebody for whom changes have been gathered."""

    handed_at: float  # when that was last handed out, in the loop's time

    def hand_out(self, now: float) -> None:
        """Hand out what was gathered."""
        ...


class Source(Protocol):
    """What subscriptions must know of the cache that they belong to."""

    revision: int

    def due(self, recipient: Recipient) -> None:
        """Note that somebody is to be handed something with the next `advance`."""
        ...

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        ...


class Subscription:
    """A watch on the cache: a bounded queue between `apply` and one watcher.

    Changes are queued by `apply`, and a watcher that waits is woken by `advance`. One that waits and has left a taker
    needs neither: it goes in step with its company.
    """

    __slots__ = (
        "_after", "_cache", "_company", "_due", "_queue", "_waiting", "ended", "handed_at", "hints", "prefix", "taker",
    )  # fmt: skip

    def __init__(
        self, cache: Source, company: Company, prefix: str, after: int, hints: Hints, missed: Sequence[Change]
    ) -> None:
        self._cache = cache
        self._company = company
        self.prefix = prefix
        self.hints = hints
        self._after = after  # changes up to here are known to the watcher already
        self._queue: deque[Change] = deque(missed)
        self._waiting: asyncio.Future[None] | None = None
        self._due = False  # the cache has noted that we are to be woken
        self.taker: Taker | None = None
        self.handed_at = -math.inf
        self.ended = False
        company.add(self)

    def __aiter__(self) -> Subscription:
        return self

    def hand_to(self, taker: Taker) -> None:
        """Offer batches to a taker first, as long as the watcher waits."""
        self.taker = taker

    async def __anext__(self) -> Sequence[Change]:
        if not self._queue and not self.ended:
            self._waiting = asyncio.get_running_loop().create_future()
            if self._after <= self._cache.revision:
                self._company.take_along(self)
            try:
                await self._waiting
            finally:
                self._waiting = None
                self._queue.extend(self._company.part(self))
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
        if pending := self._queue or self._company.unknown_to(self):
            return max(self._after, pending[0].revision - 1)
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
        """Wake the watcher, if it has not come by itself meanwhile."""
        self._due = False
        self.handed_at = now
        if self._queue:
            self.wake()

    def give_back(self, batch: Batch) -> None:
        """The taker did not want a batch: the watcher shall look at it itself."""
        self._queue.extend(batch)
        self.wake()

    def close(self) -> None:
        """No more changes."""
        if not self.ended:
            self.ended = True
            self._queue.extend(self._company.part(self))
            self._cache.leave(self)
            self.wake()

    def wake(self) -> None:
        """Let a waiting `__anext__` return now, with an empty batch if need be."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Company:
    """Subscriptions that demand the same: what is new goes as one batch to all who have had everything before it."""

    __slots__ = ("_cache", "_in_step", "_news", "_others", "handed_at")

    def __init__(self, cache: Source) -> None:
        self._cache = cache
        self._in_step: dict[Subscription, Taker] = {}
        self._others: dict[Subscription, None] = {}
        self._news = Batch()  # for those in step
        self.handed_at = -math.inf

    def add(self, subscription: Subscription) -> None:
        """One more, with a queue of its own at first."""
        self._others[subscription] = None

    def take_along(self, subscription: Subscription) -> None:
        """Let somebody who knows everything go in step, unless the others are about to get what it has had."""
        if not self._news and subscription in self._others and subscription.taker is not None:
            del self._others[subscription]
            self._in_step[subscription] = subscription.taker

    def part(self, subscription: Subscription) -> Sequence[Change]:
        """Let it go on with its own queue; returns what belongs into that."""
        unknown = self.unknown_to(subscription)
        if subscription in self._in_step:
            del self._in_step[subscription]
            self._others[subscription] = None
        return unknown

    def unknown_to(self, subscription: Subscription) -> Sequence[Change]:
        """What waits to be handed out to those in step, for one of them."""
        return self._news if subscription in self._in_step else ()

    def remove(self, subscription: Subscription) -> None:
        """One less."""
        self._in_step.pop(subscription, None)
        self._others.pop(subscription, None)

    def tell(self, change: Change) -> None:
        """Offer a change to all."""
        if self._in_step:
            if not self._news:
                self._cache.due(self)
            self._news.append(change)
        for subscription in [*self._others]:
            subscription.offer(change)

    def hand_out(self, now: float) -> None:
        """Give those in step what is new; who cannot take it at once goes on with its own queue."""
        self.handed_at = now
        batch, self._news = self._news, Batch()
        for subscription, taker in [*self._in_step.items()]:
            try:
                taken = taker(batch)
            except (
                Exception
            ):  # the edge: one watcher must not stop the cache; its own task meets the error again
                log.exception("a watcher of %s could not take its changes", subscription.prefix)
                taken = False
            if not taken:
                self.part(subscription)
                subscription.give_back(batch)

    def __iter__(self) -> Iterator[Subscription]:
        return iter([*self._in_step, *self._others])

    def __bool__(self) -> bool:
        return bool(self._in_step or self._others)


class Audience:
    """The subscriptions to one prefix, indexed by what they demand exactly."""

    def __init__(self, cache: Source) -> None:
        self._cache = cache
        self._everything = Company(cache)
        self._by_name: dict[str, Company] = {}
        self._by_node: dict[str, Company] = {}

    def company(self, hints: Hints) -> Company:
        """Those who demand the same."""
        if hints.name is not None:
            return self._by_name.setdefault(hints.name, Company(self._cache))
        if hints.node_name is not None:
            return self._by_node.setdefault(hints.node_name, Company(self._cache))
        return self._everything

    def remove(self, subscription: Subscription) -> None:
        """Let it hear no more."""
        hints = subscription.hints
        company = self.company(hints)
        company.remove(subscription)
        if company:
            return
        if hints.name is not None:
            del self._by_name[hints.name]
        elif hints.node_name is not None:
            del self._by_node[hints.node_name]

    def tell(self, change: Change) -> None:
        """Offer a change to all whom it may concern."""
        self._everything.tell(change)
        if self._by_name and (company := self._by_name.get(change.key[change.key.rindex("/") + 1 :])):
            company.tell(change)
        if self._by_node:
            for node in nodes_of(change):
                if company := self._by_node.get(node):
                    company.tell(change)

    def __iter__(self) -> Iterator[Subscription]:
        companies = (self._everything, *self._by_name.values(), *self._by_node.values())
        return iter([subscription for company in companies for subscription in company])

    def __bool__(self) -> bool:
        return bool(self._everything or self._by_name or self._by_node)


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
