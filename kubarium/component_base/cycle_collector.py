"""Keeps Python's cycle collector from stopping a process that holds much.

A full collection looks at every object of the heap: with a cluster in its caches that is a third of a second in which
nobody is answered. But caches are no garbage. What was imported is set aside for ever (`gc.freeze`). Every few seconds
the young objects are collected and the survivors become old, so that a collection only ever looks at what is new; old
objects are still freed by their reference counts. Cycles that died in old age wait for the rare full collection, which
comes sooner when the process has grown very much: a thousand new watchers should not have to wait for it.

After each of those, memory that is free goes back to the system: the C library keeps it otherwise, and a process that
once was busy stays large for ever.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

INTERVAL = 2.0  # seconds between collections of young objects
FULL_AFTER = 60.0  # seconds between collections of everything, at least
FULL_SHARE = 0.002  # of all time may be spent on them
GROWTH = 192 << 20  # bytes by which the process may grow before the next one
SOONEST = 15.0  # seconds between them even then
_THRESHOLDS = (20_000, 20, 1_000_000)  # the interpreter is never to collect what is old by itself
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _trimmer() -> Callable[[int], int]:
    """glibc's `malloc_trim`; elsewhere nothing."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return lambda pad: 0
    return trim


_trim = _trimmer()


async def tend(clock: Clock) -> None:
    """Run beside whatever the process does, for ever."""
    gc.set_threshold(*_THRESHOLDS)
    gc.freeze()
    last, pause, size = clock.monotonic(), FULL_AFTER, resident_bytes()
    while True:
        await clock.sleep(INTERVAL)
        age = clock.monotonic() - last
        if age >= pause or (age >= SOONEST and resident_bytes() > size + GROWTH):
            spent = _collect_everything()
            last, pause, size = clock.monotonic(), max(FULL_AFTER, spent / FULL_SHARE), resident_bytes()
        else:
            gc.collect(1)


def _collect_everything() -> float:
    """The processor time that it took; that of the clock on the wall depends on what else the machine does."""
    begun = time.process_time()
    found = gc.collect()
    _trim(0)
    spent = time.process_time() - begun
    log.debug("collected %d objects in %.3f s", found, spent)
    return spent


def resident_bytes() -> int:
    """The memory that the process holds."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except OSError:  # not Linux
        return 0
