"""A fair, stingy, delayed and rate-limited queue of keys.

Fair: keys come out in the order in which they went in. Stingy: a key that is added many times before it is taken comes
out once. A key is never given to two workers at a time: added while it is being worked on, it comes out again
after `done`. Source: client-go's `util/workqueue` documentation.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.metrics import Counts, Labels, Readings, Timings

K = TypeVar("K", bound=Hashable)


class ShutDown(Exception):
    """The queue has been shut down and is empty."""


_NAME = ("name",)
_BUCKETS = (
    1e-8,
    1e-7,
    1e-6,
    9.999999999999999e-06,
    9.999999999999999e-05,
    0.001,
    0.01,
    0.1,
    1,
    10,
)
_ADDS = Counts("workqueue_adds_total", "Total number of adds handled by workqueue", _NAME)
_RETRIES = Counts("workqueue_retries_total", "Total number of retries handled by workqueue", _NAME)
_WAITED = Timings(
    "workqueue_queue_duration_seconds",
    "How long in seconds an item stays in workqueue before being requested.",
    _NAME,
    _BUCKETS,
)
_WORKED = Timings(
    "workqueue_work_duration_seconds",
    "How long in seconds processing an item from workqueue takes.",
    _NAME,
    _BUCKETS,
)
_queues: weakref.WeakSet[WorkQueue[Any]] = weakref.WeakSet()


def _read(measure: Callable[[WorkQueue[Any]], float]) -> list[tuple[Labels, float]]:
    return [(queue._labels, measure(queue)) for queue in _queues]


Readings(
    "workqueue_depth",
    "Current depth of workqueue",
    _NAME,
    lambda: _read(lambda queue: float(len(queue))),
)
Readings(
    "workqueue_unfinished_work_seconds",
    "How many seconds of work has done that is in progress and hasn't been observed by work_duration. Large values "
    "indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.",
    _NAME,
    lambda: _read(lambda queue: sum(queue.ages())),
)
Readings(
    "workqueue_longest_running_processor_seconds",
    "How many seconds has the longest running processor for workqueue been running.",
    _NAME,
    lambda: _read(lambda queue: max(queue.ages(), default=0.0)),
)


class WorkQueue(Generic[K]):
    """Single-threaded: all calls come from one event loop."""

    def __init__(self, clock: Clock | None = None, backoff: Backoff | None = None, name: str = "") -> None:
        self._labels = (name,) if name else ()
        self._came: dict[K, float] = {}  # when a key was added
        self._begun: dict[K, float] = {}  # since when it is worked on
        if name:
            _queues.add(self)
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
        if self._labels:
            _ADDS.add(self._labels)
            self._came[key] = self._clock.monotonic()
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
        if self._labels:
            _RETRIES.add(self._labels)
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
        if self._labels:
            now = self._begun[key] = self._clock.monotonic()
            _WAITED.observe(self._labels, now - self._came.pop(key, now))
        return key

    def done(self, key: K) -> None:
        """The work on this key has ended, well or badly."""
        self._working.discard(key)
        if self._labels and key in self._begun:
            _WORKED.observe(self._labels, self._clock.monotonic() - self._begun.pop(key))
        if key in self._dirty:
            self._ready.append(key)
            self._wake_one()

    def ages(self) -> list[float]:
        """For how long each key that is being worked on has been."""
        now = self._clock.monotonic()
        return [now - begun for begun in self._begun.values()]

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
