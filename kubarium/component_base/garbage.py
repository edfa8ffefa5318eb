"""Keeps Python's cycle collector from stopping a process that holds much.

A full collection looks at every object of the heap: with a cluster in its caches that is a third of a second in which
nobody is answered. But caches are no garbage. Every few seconds the young objects are collected and the survivors set
aside (`gc.freeze`), so that a collection only ever looks at what is new; objects set aside are still freed by their
reference counts. Cycles that died after being set aside wait for the rare full collection.
"""

from __future__ import annotations

import gc

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

INTERVAL = 2.0  # seconds between settings aside
FULL_EVERY = 1800  # of these, one begins with a collection of everything
_THRESHOLDS = (20_000, 20, 20)


async def tend(clock: Clock) -> None:
    """Run beside whatever the process does, for ever."""
    gc.set_threshold(*_THRESHOLDS)
    gc.freeze()  # what was imported stays
    rounds = 0
    while True:
        await clock.sleep(INTERVAL)
        rounds += 1
        if rounds % FULL_EVERY == 0:
            begun = clock.monotonic()
            gc.unfreeze()
            found = gc.collect()
            log.info("collected %d objects in %.3f s", found, clock.monotonic() - begun)
        else:
            gc.collect()
        gc.freeze()
