"""Storage from memory over storage in etcd.

    etcd ══ one watch over /registry/ ══▶ run() ──▶ WatchCache ──▶ lists, gets, watches
      ▲                                                │
      └──── create, update, delete (transactions) ◀────┘ the newest known state is tried first

One watch for everything means one order of events for everything, and that the cache as a whole has a revision.
A consistent read asks etcd for its revision (one question for all who ask at the same time) and waits until the watch
has brought the cache there. What this process has written itself is known before the watch says so.

The first list is taken a little in the past, and the watch tells what has happened since: a server that was restarted
has a history from its first moment, and its clients go on with their watches. Upstream tells them to list anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from apiserver.storage import metrics, paging
from apiserver.storage.compaction import SEEN_MARKER
from apiserver.storage.etcd import EtcdStorage
from apiserver.storage.etcd_messages import Event
from apiserver.storage.family import ROOT
from apiserver.storage.interface import (
    NO_CHECK,
    NO_HINTS,
    Check,
    Hints,
    KeyNotFound,
    Modify,
    Page,
    Predicate,
    RevisionCompacted,
    RevisionTooLarge,
    StorageError,
    StorageUnavailable,
    Stored,
    Watch,
)
from apiserver.storage.stored import NotAnObject, Unreadable, stored
from apiserver.storage.watch_cache import WatchCache
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock

log = logging.get(__name__)

LOOK_BACK = 2000  # revisions before the newest at which the first list is taken, if etcd still has them
PATIENCE = 3.0  # seconds to wait for a revision that a client names; upstream's limit
MOMENT = 0.1  # seconds after which the watch may be silent because only foreign keys changed
CATCH_UP_MOMENTS = 100  # how many of these a reader waits for the watch
FORGETTING_INTERVAL = 30.0  # seconds
MENDING_INTERVAL = 1.0  # seconds between two attempts to decrypt what could not be decrypted
PROOF_INTERVAL = 1.0  # seconds after a proof that failed: it costs etcd a look at every key
_BACKOFF = Backoff(initial=0.1, maximum=5.0)


class Cacher:
    """Reads from memory as fresh as the caller demands; writes to etcd."""

    def __init__(self, etcd: EtcdStorage, clock: Clock | None = None) -> None:
        self._etcd = etcd
        self._clock = clock or RealClock()
        self._cache = WatchCache()
        self._own: dict[str, tuple[int, Stored | None]] = {}  # our writes that the watch has not brought yet
        self._strangers: set[str] = set()  # keys below /registry/ that hold no object
        self._unreadable: dict[str, tuple[int, str]] = {}  # strangers that are encrypted: revision and why
        self._filled = asyncio.Event()
        self._probe = RevisionProbe(etcd)
        self._proving = asyncio.Lock()
        self._next_proof = 0.0

    # -------------------------------------------------------------------------------------------- following etcd

    async def run(self) -> None:
        """Follow etcd for ever: list once, then watch; list again only when etcd has forgotten what we missed."""
        attempt = 0
        try:
            while True:
                try:
                    target = await self._fill()
                    attempt = 0
                    await self._follow_beyond(target)
                except RevisionCompacted:
                    log.warning("missed changes after revision %d: listing anew", self._cache.revision)
                except StorageError as error:
                    log.warning("cannot list etcd: %s", error)
                    await self._clock.sleep(_BACKOFF.delay(attempt))
                    attempt += 1
        finally:
            self._probe.close()
            self._cache.end_watches()

    async def tidy(self) -> None:
        """Forget old history, for ever."""
        while True:
            await self._clock.sleep(FORGETTING_INTERVAL)
            self._cache.forget()

    async def mend(self) -> None:
        """Try again and again to decrypt what could not be decrypted: keys come, services wake up."""
        while True:
            await self._clock.sleep(MENDING_INTERVAL)
            for key in list(self._unreadable):
                try:
                    await self._try_again(key)
                except StorageError as error:
                    log.debug("cannot read %s: %s", key, error)

    async def _try_again(self, key: str) -> None:
        found, _ = await self._etcd.client.get(key)
        revision, _ = self._unreadable.get(key, (0, ""))
        if found is None or found.revision != revision:
            return  # the watch knows more, or will
        current = self._read(key, revision, found.value)
        if current is not None:
            log.info("%s can be decrypted now", key)
            self._cache.apply(self._cache.revision, key, current)
            self._cache.advance(self._cache.revision)

    async def filled(self) -> None:
        """Return when the cache holds everything for the first time."""
        await self._filled.wait()

    async def check(self) -> None:
        """Raise if etcd does not answer, or the cache has not been filled; for `/readyz`."""
        if not self._filled.is_set():
            raise StorageUnavailable("the cache is being filled")
        await self._probe.revision()

    def weigh(self, prefix: str) -> tuple[int, int]:
        """How many objects are below a prefix, and how many bytes one of them has."""
        return self._cache.weigh(prefix)

    def counts(self) -> dict[str, int]:
        """How many objects each family has."""
        return self._cache.counts()

    async def measure(self) -> None:
        """Say how much there is, for whoever looks at the metrics."""
        metrics.read_objects(self.counts())
        with contextlib.suppress(StorageError):
            metrics.note_sizes([await self.size()])

    async def size(self) -> int:
        """How many bytes etcd's file has. Raises StorageUnavailable."""
        return await self._etcd.client.size()

    def compacted(self, revision: int) -> None:
        """etcd has forgotten what was before a revision: the compactor says so."""
        self._cache.compacted = max(self._cache.compacted, revision)

    def end_watches(self, prefix: str = "") -> None:
        """Close all watches below a prefix: the server stops, or no longer serves what is there."""
        self._cache.end_watches(prefix)

    async def _fill(self) -> int:
        """List everything; returns the revision from which on the cache may be asked."""
        if self._filled.is_set():
            await self._fill_at(0)  # time must not go backwards for those who have seen the cache
            return self._cache.revision
        target = await self._etcd.client.revision()
        start = max(target - LOOK_BACK, 1)
        try:
            await self._fill_at(start)
        except RevisionCompacted:
            await self._fill_at(await self._etcd.client.oldest_revision())
        return max(target, self._cache.revision)

    async def _fill_at(self, revision: int) -> None:
        # Foreign values are found again by the next watch events; what counts is that nothing of ours is missed.
        self._unreadable = {}
        strangers: set[str] = set()
        objects: list[Stored] = []
        start_key, more = ROOT, True
        while more:
            answer = await self._etcd.client.range(ROOT, start_key=start_key, limit=1000, revision=revision)
            revision, more = revision or answer.revision, answer.more
            for kv in answer.items:
                try:
                    objects.append(stored(kv.key, kv.revision, kv.value))
                except NotAnObject as error:
                    strangers.add(kv.key)
                    self._note_unreadable(kv.key, kv.revision, error)
            start_key = answer.items[-1].key + "\0" if answer.items else ""
        self._strangers = strangers
        self._own = {key: own for key, own in self._own.items() if own[0] > revision}
        self._cache.replace(objects, revision)
        log.info("holding %d objects at revision %d", len(objects), revision)

    async def _follow_beyond(self, target: int) -> None:
        """Follow etcd; say that the cache is filled when it has come to a revision."""
        settling = asyncio.ensure_future(self._settle(target))
        try:
            await self._follow()
        finally:
            settling.cancel()

    async def _settle(self, target: int) -> None:
        for attempt in itertools.count():
            try:
                await self._reach(target)
                self._filled.set()
                return
            except StorageError as error:
                log.warning("not there yet: %s", error)
                await self._clock.sleep(_BACKOFF.delay(attempt))

    async def _follow(self) -> None:
        async for events in self._etcd.client.watch(ROOT, self._cache.revision):
            for event in events:
                self._apply(event)
            self._cache.advance(events[-1].revision)

    def _apply(self, event: Event) -> None:
        key, revision = event.key, event.revision
        metrics.EVENTS.add(metrics.resource_of(key))
        current = None
        own = self._own.get(key)
        if own is not None and own[0] <= revision:
            del self._own[key]
        if own is not None and own[0] == revision:
            current = own[1]
        elif event.value is not None:
            current = self._read(key, revision, event.value)
        else:
            self._strangers.discard(key)
            self._unreadable.pop(key, None)
        self._cache.apply(revision, key, current)

    def _read(self, key: str, revision: int, value: bytes) -> Stored | None:
        try:
            current = stored(key, revision, value)
        except NotAnObject as error:
            if not self._note_unreadable(key, revision, error) and key != SEEN_MARKER:
                log.warning("%s holds no object; ignoring it", key)
            self._strangers.add(key)
            return None
        self._strangers.discard(key)
        self._unreadable.pop(key, None)
        return current

    def _note_unreadable(self, key: str, revision: int, error: NotAnObject) -> bool:
        """Is it an object of ours that cannot be decrypted?"""
        if not isinstance(error, Unreadable):
            self._unreadable.pop(key, None)
            return False
        if key not in self._unreadable:
            log.error("%s cannot be decrypted: %s", key, error)
        self._unreadable[key] = revision, error.why
        return True

    # ------------------------------------------------------------------------------------------------- reading

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        if minimum_revision is None:
            await self._catch_up()
        elif minimum_revision > self._cache.revision:
            own = self._own.get(key)
            if own is None or own[0] < minimum_revision:
                await self._cache.wait_for(minimum_revision, PATIENCE)
        found = self._newest(key)
        if found is None:
            if key in self._unreadable:
                raise Unreadable(key, self._unreadable[key][1])
            raise KeyNotFound(key)
        return found

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
        if exact_revision:
            if exact_revision > self._cache.revision:
                await self._catch_up()
            if exact_revision > self._cache.revision:
                raise RevisionTooLarge(exact_revision, self._cache.revision)
        elif minimum_revision is None:
            await self._catch_up()
        else:
            await self._cache.wait_for(minimum_revision, PATIENCE)
        if not self._filled.is_set():
            await self._filled.wait()
        if self._unreadable:
            self._refuse_unreadable(prefix)
        try:
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
        except RevisionCompacted as error:
            if not exact_revision or exact_revision < self._cache.compacted:
                raise
            try:  # forgotten here, but perhaps not there
                return await self._etcd.list(
                    prefix,
                    exact_revision=exact_revision,
                    start_key=start_key,
                    limit=limit,
                    predicate=predicate,
                )
            except RevisionCompacted:
                raise error from None

    def _refuse_unreadable(self, prefix: str) -> None:
        """A list with a gap would be a lie."""
        for key in sorted(self._unreadable):
            if key.startswith(prefix):
                raise Unreadable(key, self._unreadable[key][1]).in_list()

    def is_outdated(self, key: str) -> bool:
        return self._etcd.is_outdated(key)

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        await self._filled.wait()
        return self._cache.watch(prefix, after_revision, hints)

    async def current_revision(self, prefix: str = "") -> int:
        await self._catch_up()
        return self._cache.revision

    async def _catch_up(self) -> None:
        """Bring the cache to a revision that etcd had after we were asked."""
        revision = await self._probe.revision()
        if revision <= self._cache.revision:
            return
        if not self._filled.is_set():
            await self._filled.wait()
        await self._reach(revision)

    async def _reach(self, revision: int) -> None:
        """Wait until the watch has brought a revision that etcd has."""
        for _ in range(CATCH_UP_MOMENTS):
            before = self._cache.revision
            try:
                await self._cache.wait_for(revision, MOMENT)
                return
            except RevisionTooLarge:
                if self._cache.revision == before:  # otherwise the watch is late, but it comes
                    await self._prove_silence(before)
        raise StorageUnavailable(f"the watch of etcd is late: at {self._cache.revision}, wanted {revision}")

    async def _prove_silence(self, seen: int) -> None:
        """Nothing comes: perhaps because whoever shares our etcd changed keys that are not ours. One asks for all."""
        async with self._proving:
            now = self._clock.monotonic()
            if self._cache.revision != seen or now < self._next_proof:
                return
            count = len(self._cache.objects) + len(self._strangers)
            newest = await self._etcd.client.quiet_since(ROOT, seen, count)
            if newest and self._cache.revision == seen:
                self._cache.advance(newest)
            else:
                self._next_proof = now + PROOF_INTERVAL

    def _newest(self, key: str) -> Stored | None:
        """The newest state we know, be it from the watch or from our own write."""
        cached = self._cache.objects.get(key)
        own = self._own.get(key) if self._own else None
        if own is not None and own[0] > (cached.revision if cached is not None else 0):
            return own[1]
        return cached

    # ------------------------------------------------------------------------------------------------- writing

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        return self._wrote(await self._etcd.create(key, obj, ttl=ttl))

    async def update(self, key: str, modify: Modify, *, ttl: int = 0) -> Stored:
        return self._wrote(await self._etcd.update(key, modify, ttl=ttl, known=self._newest(key)))

    async def replace(self, key: str, obj: Object, revision: int, *, ttl: int = 0) -> Stored:
        return self._wrote(await self._etcd.replace(key, obj, revision, ttl=ttl, known=self._newest(key)))

    async def delete(self, key: str, check: Check = NO_CHECK) -> Stored:
        gone = await self._etcd.delete(key, check, known=self._newest(key))
        if gone.revision > self._cache.revision:
            self._own[key] = gone.revision, None
        return gone

    def _wrote(self, fresh: Stored) -> Stored:
        """Remember our own write until the watch brings it."""
        if fresh.revision > self._cache.revision:
            own = self._own.get(fresh.key)
            if own is None or own[0] < fresh.revision:
                self._own[fresh.key] = fresh.revision, fresh
        return fresh


class RevisionProbe:
    """Asks etcd for its revision, once for all who ask meanwhile.

    An answer is good for those only who asked before the question went out: later ones share the next question.
    """

    def __init__(self, etcd: EtcdStorage) -> None:
        self._etcd = etcd
        self._next: asyncio.Future[int] | None = None
        self._task: asyncio.Task[None] | None = None

    async def revision(self) -> int:
        """A revision that etcd has reached after this call. Raises StorageUnavailable."""
        if self._next is None:
            loop = asyncio.get_running_loop()
            self._next = loop.create_future()
            if self._task is None:
                self._task = loop.create_task(self._ask(), name="revision probe")
        return await asyncio.shield(self._next)

    def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()

    async def _ask(self) -> None:
        waiting: asyncio.Future[int] | None = None
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                try:
                    waiting.set_result(await self._etcd.client.revision())
                except StorageError as error:
                    waiting.set_exception(error)
                    waiting.exception()  # nobody may be left to hear of it
        finally:
            self._task = None
            for left in (waiting, self._next):
                if left is not None and not left.done():
                    left.set_exception(StorageUnavailable("the server stops"))
                    left.exception()
