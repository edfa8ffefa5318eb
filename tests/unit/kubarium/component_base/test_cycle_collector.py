"""What dies young goes at once, what dies in old age goes with the next full collection, and growth hastens that."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from kubarium.component_base import cycle_collector
from kubarium.component_base.clock import FakeClock


@pytest.fixture(autouse=True)
def collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Knot:
    """An object that only a collection can free."""

    def __init__(self) -> None:
        self.itself = self


async def test_cycles_go_sooner_or_later(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 100 << 20
    monkeypatch.setattr(cycle_collector, "resident_bytes", lambda: size)
    monkeypatch.setattr(cycle_collector, "FULL_SHARE", 1e9)  # however slow this machine is
    clock = FakeClock()
    tending = asyncio.ensure_future(cycle_collector.tend(clock))
    await clock.advance(0)
    young, old, growing = Knot(), Knot(), Knot()
    of_young, of_old, of_growing = weakref.ref(young), weakref.ref(old), weakref.ref(growing)
    del young
    await clock.advance(cycle_collector.INTERVAL)
    assert of_young() is None
    del old
    await clock.advance(cycle_collector.FULL_AFTER - 2 * cycle_collector.INTERVAL)
    assert of_old() is not None
    await clock.advance(cycle_collector.INTERVAL)
    assert of_old() is None
    del growing
    size += cycle_collector.GROWTH // 2
    await clock.advance(cycle_collector.SOONEST + cycle_collector.INTERVAL)
    assert of_growing() is not None
    size += cycle_collector.GROWTH
    await clock.advance(cycle_collector.INTERVAL)
    assert of_growing() is None
    tending.cancel()
