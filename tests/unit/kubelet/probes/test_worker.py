from __future__ import annotations

import asyncio
from typing import Any

from kubarium.component_base.clock import FakeClock
from kubelet.probes.actions import Answer
from kubelet.probes.worker import Subject, Worker


class Probe:
    """A worker whose answers the test gives."""

    def __init__(self, clock: FakeClock, initial: bool | None, **spec: Any) -> None:
        self.answers: list[bool | None] = []
        self.reported: list[bool] = []
        self.complaints: list[str] = []
        self.worker = Worker(
            spec,
            clock,
            initial=initial,
            subject=lambda: Subject("c1", clock.now().timestamp() - 100, "10.0.0.2"),
            held_back=lambda subject: False,
            ask=self.ask,
            report=lambda id, healthy: self.reported.append(healthy),
            unhealthy=self.complaints.append,
        )

    async def ask(self, subject: Subject) -> Answer:
        return Answer(self.answers.pop(0), "text")

    async def give(self, *answers: bool | None) -> list[bool]:
        self.answers += answers
        for _ in answers:
            await self.worker.step()
        return self.reported


async def test_readiness_begins_with_false_and_follows(clock: FakeClock) -> None:
    assert await Probe(clock, False, failureThreshold=2).give(True, False, True, False, False) == [
        False,
        True,
        True,
        False,
    ]


async def test_liveness_fails_after_the_threshold_and_then_waits(clock: FakeClock) -> None:
    probe = Probe(clock, None)
    assert await probe.give(True, False, False, False) == [True, False]
    await probe.worker.step()  # on hold until the container has been restarted
    assert probe.complaints == ["failed: text"] * 3


async def test_an_error_decides_nothing(clock: FakeClock) -> None:
    assert await Probe(clock, None, failureThreshold=1).give(None, None) == []


async def test_a_poked_worker_asks_at_once(clock: FakeClock) -> None:
    probe = Probe(clock, False, periodSeconds=600)
    probe.answers = [False, True]
    running = asyncio.ensure_future(probe.worker.run(True))
    try:
        while len(probe.answers) > 1:  # noqa: ASYNC110  the worker tells us nothing
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        probe.worker.poke()
        async with asyncio.timeout(60):
            while True not in probe.reported:  # noqa: ASYNC110
                await asyncio.sleep(0)
    finally:
        running.cancel()
