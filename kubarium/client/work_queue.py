"""A fair, stingy, delayed and rate-limited queue of keys.

Fair: keys come out in the order in which they went in. Stingy: a key that is added many times before it is taken comes
out once. A key is never given to two workers at a time: added while it is being worked on, it comes out again
after `done`. Source: client-go's `util/workqueue` documentation.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock

K = TypeVar("K", bound=Hashable)


class ShutDown(Exception):
    """The queue has been shut down and is empty."""


class WorkQueue(Generic[K]):
    """Single-threaded: all calls come from one event loop."""

    def __init__(self, clock: Clock | None = None, backoff: Backoff | None = None) -> None:
        self._clock = clock or RealClock()
        self._backoff = backoff or Backoff(initial=0.005, maximum=1000.0)
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()  # wants work: in `_ready`, or to be put there after `done`
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._waiting: list[tuple[float, int, K]] = []
        self._earliest: dict[K, float] = {}
        self._order = itertools.count()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.Task[None] | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: K) -> None:
        """This key needs work."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._working:
            self._ready.append(key)
            self._wake_one()

    def add_after(self, key: K, seconds: float) -> None:
        """This key needs work in a while; of several moments the earliest counts."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        moment = self._clock.monotonic() + seconds
        if self._earliest.get(key, float("inf")) <= moment:
            return
        self._earliest[key] = moment
        heapq.heappush(self._waiting, (moment, next(self._order), key))
        if self._waiting[0][2] == key:
            self._set_alarm()

    def add_rate_limited(self, key: K) -> None:
        """This key failed: try again, each time later than the time before."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, self._backoff.delay(failures))

    def failures(self, key: K) -> int:
        """How often the key failed in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """This key succeeded: its next failure is its first."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; say `done` when it has been worked on. Raises ShutDown."""
        while not self._ready:
            if self._closed:
                raise ShutDown
            getter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._getters.append(getter)
            try:
                await getter
            except asyncio.CancelledError:
                if getter.done() and not getter.cancelled():
                    self._wake_one()  # somebody else must take what was meant for us
                raise
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        """The work on this key has ended, well or badly."""
        self._working.discard(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    def shut_down(self) -> None:
        """Take no more keys; `get` raises ShutDown once the ready ones are gone."""
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        while self._getters:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._getters:
            getter = self._getters.popleft()
            if not getter.done():
                getter.set_result(None)
                return

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().create_task(self._ring(), name="work queue alarm")

    async def _ring(self) -> None:
        while self._waiting:
            moment, _, key = self._waiting[0]
            pause = moment - self._clock.monotonic()
            if pause > 0:
                await self._clock.sleep(pause)
                continue
            heapq.heappop(self._waiting)
            if self._earliest.get(key) == moment:
                del self._earliest[key]
                self.add(key)
        self._alarm = None
