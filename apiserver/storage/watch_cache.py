"""The newest state of every key, what recently happened to it, and who wants to know: all in memory, nothing awaited.

    apply(revision, key, stored) ──▶ Family `/registry/pods/` (`family.py`) ──▶ lists (`paging.py`), watches of the past
                                       └── Audience by prefix (`audience.py`) ──▶ Subscription, one for each watcher

A family is one resource. Families have histories of their own, so that a busy resource does not push out what
happened to a quiet one. `cacher.py` fills this from etcd, `memory.py` directly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Generator, Iterator, Sequence

from apiserver.storage import paging
from apiserver.storage.audience import Audience, Recipient, Subscription, concerns
from apiserver.storage.family import ROOT, Family, Shelf, family_of
from apiserver.storage.interface import (
    NO_HINTS,
    Change,
    Hints,
    KeyNotFound,
    Predicate,
    RevisionCompacted,
    RevisionTooLarge,
    Stored,
)
from apiserver.storage.paging import Work

WINDOW = 0.008  # seconds: changes that follow each other faster are handed out together


class WatchCache:
    """All families at one revision."""

    def __init__(self) -> None:
        self.revision = 0
        self.compacted = 0  # etcd answers no questions about revisions before this one, so neither do we
        self.objects: dict[str, Stored] = {}
        self._families: dict[str, Family] = {}
        self._wide: dict[str, Audience] = {}  # watchers of several families at once
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._due: list[Recipient] = []  # have gathered something since the last `advance`
        self._late: list[Recipient] = []  # were handed something a moment ago, and wait for the timer
        self._complete_after = 0  # families that nobody has seen yet had no changes after this revision

    # ------------------------------------------------------------------------------------------------ changing

    def apply(self, revision: int, key: str, current: Stored | None) -> Change | None:
        """One thing happened: tell everyone. `advance` must follow before anybody else gets the loop."""
        family = self._family(key)
        previous = family.put(key, current)
        if current is not None:
            self.objects[key] = current
        elif previous is None:
            return None  # the end of something that was no object
        else:
            del self.objects[key]
        change = Change(revision, key, current, previous)
        family.remember(change, time.monotonic())
        if family.audiences:
            for prefix in {family.prefix, key[: key.rindex("/") + 1]}:
                if prefix in family.audiences:
                    family.audiences[prefix].tell(change)
        for prefix, audience in self._wide.items():
            if key.startswith(prefix):
                audience.tell(change)
        return change

    def advance(self, revision: int) -> None:
        """Everything up to a revision has been applied."""
        self.revision = revision
        if self._due:
            self._hand_out()
        if self._waiters:
            due = [waiter for wanted, waiter in self._waiters if wanted <= revision]
            if due:
                self._waiters = [pair for pair in self._waiters if pair[0] > revision]
                for waiter in due:
                    if not waiter.done():
                        waiter.set_result(None)

    def forget(self) -> None:
        """Let go of old history and of indexes that nobody needs. Once in a while is enough."""
        now = time.monotonic()
        for family in self._families.values():
            family.forget(now)
            family.let_go(now)

    def due(self, recipient: Recipient) -> None:
        """Note that somebody is to be handed something with the next `advance`."""
        self._due.append(recipient)

    def _hand_out(self) -> None:
        """To those at once who had nothing for a while; the others get it with what comes meanwhile."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        due, self._due = self._due, []
        for recipient in due:
            if now - recipient.handed_at >= WINDOW:
                recipient.hand_out(now)
            else:
                if not self._late:
                    loop.call_later(WINDOW, self._hand_out_late)
                self._late.append(recipient)

    def _hand_out_late(self) -> None:
        now = asyncio.get_running_loop().time()
        late, self._late = self._late, []
        for recipient in late:
            recipient.hand_out(now)

    def replace(self, objects: Sequence[Stored], revision: int) -> None:
        """Begin anew with a list: histories are gone, and with them every watcher that stood on them."""
        watchers = [
            watcher
            for audiences in (self._wide, *(family.audiences for family in self._families.values()))
            for audience in audiences.values()
            for watcher in audience
        ]
        self._families.clear()
        self._complete_after = revision
        self.objects = {stored.key: stored for stored in objects}
        for stored in objects:
            self._family(stored.key).put(stored.key, stored)
        self.advance(revision)
        for watcher in watchers:
            watcher.close()

    def end_watches(self, prefix: str = "") -> None:
        """Close every subscription below a prefix: what is there is not served any more."""
        for audiences in (self._wide, *(family.audiences for family in self._families.values())):
            for audience in [*audiences.values()]:
                for watcher in [watcher for watcher in audience if watcher.prefix.startswith(prefix)]:
                    watcher.close()

    # ------------------------------------------------------------------------------------------------- asking

    async def wait_for(self, revision: int, seconds: float) -> None:
        """Return when the cache has come to a revision. Raises RevisionTooLarge when it does not."""
        if revision <= self.revision:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pair = (revision, waiter)
        self._waiters.append(pair)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            raise RevisionTooLarge(revision, self.revision) from None
        finally:
            if pair in self._waiters:
                self._waiters.remove(pair)

    def get(self, key: str) -> Stored:
        """The newest state of a key. Raises KeyNotFound."""
        try:
            return self.objects[key]
        except KeyError:
            raise KeyNotFound(key) from None

    def page(
        self,
        prefix: str,
        *,
        exact_revision: int = 0,
        start_key: str = "",
        limit: int = 0,
        predicate: Predicate | None = None,
        hints: Hints = NO_HINTS,
    ) -> Work:
        """Makes a page of the objects below a prefix, now or as they were; it shows one moment, however long it takes.

        Raises RevisionCompacted if the past is forgotten.
        """
        candidates = (yield from self._candidates(prefix, hints)) if predicate is not None else None
        if exact_revision and exact_revision < self.compacted:
            raise RevisionCompacted(self.revision)
        revision = exact_revision or self.revision
        past = paging.past_of(self._history(prefix, exact_revision)) if exact_revision else {}
        shelves = self._shelves(prefix)
        if predicate is None:
            return paging.whole(shelves, revision, start_key, limit, past, self.objects)
        if candidates is None:
            items = paging.in_order(shelves, start_key, past)
        else:
            items = paging.sorted_from(candidates, prefix, start_key, past)
        return (yield from paging.selected(items, revision, limit, predicate))

    def watch(self, prefix: str, after_revision: int, hints: Hints = NO_HINTS) -> Subscription:
        """Changes after a revision. Raises RevisionCompacted."""
        try:
            missed = [
                change for change in self._history(prefix, after_revision) if concerns(change, prefix, hints)
            ]
        except RevisionCompacted:
            raise RevisionCompacted(self.revision) from None
        audience = self._audiences(prefix).setdefault(prefix, Audience(self))
        return Subscription(self, audience.company(hints), prefix, after_revision, hints, missed)

    def counts(self) -> dict[str, int]:
        """How many objects each family has."""
        return {prefix: family.count() for prefix, family in self._families.items()}

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        audiences = self._audiences(subscription.prefix)
        audience = audiences.get(subscription.prefix)
        if audience is not None:
            audience.remove(subscription)
            if not audience:
                del audiences[subscription.prefix]

    def count(self, prefix: str) -> int:
        """How many objects are below a prefix."""
        return sum(len(shelf.keys) for shelf in self._shelves(prefix))

    def weigh(self, prefix: str) -> tuple[int, int]:
        """How many objects are below a prefix, and how many bytes one of them has."""
        shelves = self._shelves(prefix)
        sample = next((shelf.items[0] for shelf in shelves if shelf.items), None)
        size = len(sample.head) + len(sample.tail) if sample is not None else 0
        return sum(len(shelf.keys) for shelf in shelves), size

    # ------------------------------------------------------------------------------------------------ families

    def _family(self, key: str) -> Family:
        prefix = family_of(key)
        family = self._families.get(prefix)
        if family is None:
            family = self._families[prefix] = Family(prefix, self._complete_after)
        return family

    def _within(self, prefix: str) -> list[Family]:
        """The families that a prefix touches; several only for a prefix that is shorter than theirs."""
        own = family_of(prefix)
        if own != ROOT:
            return [self._family(prefix)]
        return [family for at, family in sorted(self._families.items()) if at.startswith(prefix)]

    def _audiences(self, prefix: str) -> dict[str, Audience]:
        return self._wide if family_of(prefix) == ROOT else self._family(prefix).audiences

    def _shelves(self, prefix: str) -> list[Shelf]:
        return [shelf for family in self._within(prefix) for shelf in family.under(prefix)]

    def _candidates(self, prefix: str, hints: Hints) -> Generator[None, None, Collection[Stored] | None]:
        """A superset of what the hints demand that is smaller than everything, if that can be had."""
        families = self._within(prefix)
        if hints.name is not None:
            return [*self._named(families, prefix, hints.name)]
        if len(families) != 1:
            return None
        found = yield from families[0].candidates(hints, time.monotonic())
        return found if self._families.get(families[0].prefix) is families[0] else None

    def _named(self, families: Sequence[Family], prefix: str, name: str) -> Iterator[Stored]:
        for family in families:
            places = [prefix] if prefix in family.shelves else family.order
            for place in places:
                stored = self.objects.get(place + name) if place.startswith(prefix) else None
                if stored is not None:
                    yield stored

    def _history(self, prefix: str, after: int) -> list[Change]:
        if family_of(prefix) == ROOT and after < self._complete_after:
            raise RevisionCompacted
        found = [change for family in self._within(prefix) for change in family.since(after)]
        found = [change for change in found if change.key.startswith(prefix)]
        if family_of(prefix) == ROOT:
            found.sort(key=lambda change: change.revision)
        return found
