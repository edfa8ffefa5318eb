"""One probe of one container: when to ask, and how many answers make a result."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock, sleep_unless
from kubelet.probes.actions import Answer


@dataclass(frozen=True, slots=True)
class Subject:
    """The container that is probed, as it runs now."""

    container_id: str
    started_at: float  # wall time in seconds
    pod_ip: str


class Worker:
    """Probes until it is cancelled. Results go to `report(container_id, healthy)`."""

    def __init__(
        self,
        spec: Object,
        clock: Clock,
        *,
        initial: bool | None,
        subject: Callable[[], Subject | None],
        held_back: Callable[[Subject], bool],
        ask: Callable[[Subject], Awaitable[Answer]],
        report: Callable[[str, bool], None],
        unhealthy: Callable[[str], None],
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._initial = initial
        self._subject = subject
        self._held_back = held_back
        self._ask = ask
        self._report = report
        self._unhealthy = unhealthy
        self._container_id = ""
        self._last: bool | None = None
        self._streak = 0
        self._on_hold = False
        self._poked = asyncio.Event()

    @property
    def period(self) -> float:
        """Seconds between two questions."""
        return float(self._spec.get("periodSeconds") or 10)

    async def run(self, just_started: bool) -> None:
        """Ask again and again. After a restart of the kubelet the first questions are spread over the period."""
        if not just_started:
            await self._clock.sleep(random.random() * min(self.period, 5.0))
        while True:
            self._poked.clear()
            await sleep_unless(self._clock, await self.step(), self._poked)

    def poke(self) -> None:
        """Ask now: what held the questions back is over."""
        self._poked.set()

    async def step(self) -> float:
        """One question, unless it is too early; returns the seconds until the next."""
        subject = self._subject()
        if subject is None:
            return self.period
        if subject.container_id != self._container_id:
            self._container_id, self._last, self._streak, self._on_hold = subject.container_id, None, 0, False
            if self._initial is not None:
                self._report(subject.container_id, self._initial)
        if self._on_hold or self._held_back(subject):
            return self.period
        age = self._clock.now().timestamp() - subject.started_at
        delay = float(self._spec.get("initialDelaySeconds") or 0)
        if age < delay:
            return delay - age
        self._count(subject, await self._ask(subject))
        return self.period

    def _count(self, subject: Subject, answer: Answer) -> None:
        if answer.healthy is None:
            self._unhealthy(
                f"errored and resulted in unknown state: {answer.output}" if answer.output else "errored"
            )
            return
        if not answer.healthy:
            self._unhealthy(f"failed: {answer.output}")
        self._streak = self._streak + 1 if answer.healthy == self._last else 1
        self._last = answer.healthy
        key, default = ("successThreshold", 1) if answer.healthy else ("failureThreshold", 3)
        if self._streak < int(self._spec.get(key) or default):
            return
        self._report(subject.container_id, answer.healthy)
        if not answer.healthy and self._initial is not False:
            # Liveness or startup has failed: the container will be killed; say nothing until the next one.
            self._on_hold = True
            self._streak = 0
