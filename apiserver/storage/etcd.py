"""Storage in etcd: every write is a compare-and-swap transaction."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Sequence
from typing import cast

from apiserver.storage.audience import concerns
from apiserver.storage.etcd_client import EtcdClient
from apiserver.storage.etcd_messages import Event, KeyValue, Outcome
from apiserver.storage.interface import (
    NO_CHECK,
    NO_HINTS,
    Change,
    Check,
    Hints,
    KeyExists,
    KeyNotFound,
    Modify,
    Page,
    Predicate,
    RevisionConflict,
    StorageError,
    Stored,
    Taker,
    Watch,
)
from apiserver.storage.metrics import timed
from apiserver.storage.stored import NotAnObject, Unreadable, encode, stored
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

PAGE_SIZE = 1000  # keys that are asked of etcd at once
LEASE_SHARING = 60.0  # seconds for which objects of equal time to live share a lease


class EtcdStorage:
    """Get, list, watch, create, update, delete straight in etcd.

    `known` is what the caller believes the newest state to be. It saves a read when it is right; when something goes
    wrong with it, the newest state is read and the attempt repeated.
    """

    def __init__(self, client: EtcdClient, clock: Clock | None = None) -> None:
        self.client = client
        self._leases = Leases(client, clock or RealClock())

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        with timed("get", key):
            found, _ = await self.client.get(key)
        return _stored_or_missing(key, found)

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
        found: list[Stored] = []
        revision = exact_revision
        while True:
            size = min(limit, PAGE_SIZE) if limit and predicate is None else PAGE_SIZE
            with timed("list", prefix):
                answer = await self.client.range(prefix, start_key=start_key, limit=size, revision=revision)
            revision = revision or answer.revision
            for at, kv in enumerate(answer.items):
                if limit and len(found) == limit:
                    remaining = answer.total - at if predicate is None else 0
                    return Page(found, revision, start_key, remaining)
                start_key = kv.key + "\0"
                fresh = _object_or_none(kv)
                if fresh is not None and (predicate is None or predicate(fresh)):
                    found.append(fresh)
            if not answer.more:
                return Page(found, revision)
            if limit and len(found) == limit:
                remaining = answer.total - len(answer.items) if predicate is None else 0
                return Page(found, revision, start_key, remaining)

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        if after_revision < await self.client.revision():
            await self.client.get(prefix, revision=after_revision + 1)  # RevisionCompacted, if it is
        return EtcdWatch(self.client, prefix, after_revision, hints)

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        value = encode(obj)
        lease = await self._leases.lease(ttl)
        with timed("create", key):
            outcome = await self.client.create(key, value, lease)
        if not outcome.succeeded:
            raise KeyExists(key)
        return stored(key, outcome.revision, value)

    async def update(self, key: str, modify: Modify, *, ttl: int = 0, known: Stored | None = None) -> Stored:
        lease = await self._leases.lease(ttl)
        current, certain = known or await self.get(key), known is None
        while True:
            try:
                wanted = modify(current.decode(), current.revision)
            except (StatusError, StorageError):
                if certain or (newer := await self._newer_than(current)) is None:
                    raise
                current, certain = newer, True
                continue
            value = None if wanted is None else encode(wanted)
            if value is None or (current.same_content(value) and not self.is_outdated(key)):
                if certain or (newer := await self._newer_than(current)) is None:
                    return current
                current, certain = newer, True
                continue
            with timed("update", key):
                outcome = await self.client.put_if(key, value, current.revision, lease)
            if outcome.succeeded:
                return stored(key, outcome.revision, value)
            current, certain = _stored_or_missing(key, outcome.current), True

    async def replace(
        self, key: str, obj: Object, revision: int, *, ttl: int = 0, known: Stored | None = None
    ) -> Stored:
        value = encode(obj)
        known = known or await self.get(key)
        if known.revision == revision and known.same_content(value) and not self.is_outdated(key):
            if await self._newer_than(known) is not None:
                raise RevisionConflict(key)
            return known
        lease = await self._leases.lease(ttl)
        with timed("update", key):
            outcome = await self.client.put_if(key, value, revision, lease)
        if outcome.succeeded:
            return stored(key, outcome.revision, value)
        _stored_or_missing(key, outcome.current)
        raise RevisionConflict(key)

    async def delete(
        self,
        key: str,
        check: Check = NO_CHECK,
        *,
        known: Stored | None = None,
    ) -> Stored:
        current, certain = known or await self.get(key), known is None
        while True:
            try:
                check(current)
            except (StatusError, StorageError):
                if certain or (newer := await self._newer_than(current)) is None:
                    raise
                current, certain = newer, True
                continue
            with timed("delete", key):
                outcome: Outcome = await self.client.delete_if(key, current.revision)
            if outcome.succeeded:
                return current.at(outcome.revision)
            current, certain = _stored_or_missing(key, outcome.current), True

    async def _newer_than(self, current: Stored) -> Stored | None:
        """What etcd has, if that is not what the caller believed to be the newest state."""
        newest = await self.get(current.key)
        return None if newest.revision == current.revision else newest

    async def current_revision(self, prefix: str = "") -> int:
        return await self.client.revision()

    def is_outdated(self, key: str) -> bool:
        return self.client.is_outdated(key)


class EtcdWatch:
    """A watch straight on etcd, which brings the previous state with each change."""

    def __init__(self, client: EtcdClient, prefix: str, after: int, hints: Hints) -> None:
        # An async generator, so that closing it hangs up.
        self._events = cast(AsyncGenerator[Sequence[Event]], client.watch(prefix, after, previous=True))
        self._prefix, self._hints = prefix, hints
        self.revision = after
        self.ended = False

    def __aiter__(self) -> EtcdWatch:
        return self

    async def __anext__(self) -> Sequence[Change]:
        while not self.ended:
            events = await anext(self._events)
            changes = [change for event in events if (change := _change_of(event)) is not None]
            self.revision = events[-1].revision
            found = [change for change in changes if concerns(change, self._prefix, self._hints)]
            if found:
                return found
        await self._events.aclose()
        raise StopAsyncIteration

    def take(self) -> Sequence[Change]:
        return ()

    def hand_to(self, taker: Taker) -> None:
        """Batches come by waiting only."""

    def wake(self) -> None:
        """Nobody who needs this watches etcd directly."""
        raise NotImplementedError

    def close(self) -> None:
        self.ended = True


class Leases:
    """Few leases for many objects: those of the same minute share one, and live up to a minute longer."""

    def __init__(self, client: EtcdClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._current: dict[int, tuple[int, float]] = {}  # time to live -> (lease, shared until)

    async def lease(self, ttl: int) -> int:
        """A lease that lasts at least `ttl` seconds; 0 (no lease) for 0."""
        if not ttl:
            return 0
        now = self._clock.monotonic()
        lease, until = self._current.get(ttl, (0, -math.inf))
        if now >= until:
            sharing = max(LEASE_SHARING, 0.05 * ttl)
            lease = await self._client.grant(ttl + int(sharing))
            self._current[ttl] = (lease, now + sharing)
        return lease


def _stored_or_missing(key: str, kv: KeyValue | None) -> Stored:
    if kv is None:
        raise KeyNotFound(key)
    return stored(kv.key, kv.revision, kv.value)


def _object_or_none(kv: KeyValue) -> Stored | None:
    try:
        return stored(kv.key, kv.revision, kv.value)
    except Unreadable as error:
        raise error.in_list() from None
    except NotAnObject:
        log.debug("%s holds no object", kv.key)
        return None


def _change_of(event: Event) -> Change | None:
    previous = _object_or_none(event.previous) if event.previous is not None else None
    current = None
    if event.value is not None:
        current = _object_or_none(KeyValue(event.key, event.value, event.revision))
    if current is None and previous is None:
        return None
    return Change(event.revision, event.key, current, previous)
