"""Ends the node's pods before the machine ends: those of low priority first, each group within its time.

    logind says PrepareForShutdown  ─┐
                                     ├─▶ no new pods, node not Ready ─▶ group after group ends ─▶ the machine may go on
    SIGPWR, where there is no logind ─┘

A pod that is ended like this becomes Failed with reason `Terminated`, so that its owner makes another one elsewhere.
Source: https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import orjson

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, spec_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet import metrics

log = logging.get(__name__)

CRITICAL_PRIORITY = 2_000_000_000
REASON, MESSAGE = "Terminated", "Pod was terminated in response to imminent node shutdown."
REFUSED_REASON, REFUSED_MESSAGE = "NodeShutdown", "Pod was rejected as the node is shutting down."
COMPLAINT = "node is shutting down"
STATE_FILE = "graceful_node_shutdown_state"
POLL = 0.2  # seconds


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """Seconds for the pods of a priority and above, up to the next period."""

    priority: int
    seconds: int


def periods_of(whole: float, critical: float, by_priority: Mapping[str, str]) -> list[Period]:
    """The configuration as periods, the lowest priority first; empty when nothing waits for pods."""
    if by_priority:
        return sorted(Period(int(priority), int(seconds)) for priority, seconds in by_priority.items())
    if whole <= 0:
        return []
    return [Period(0, int(whole - critical)), Period(CRITICAL_PRIORITY, int(critical))]


def groups_of(pods: Iterable[Object], periods: Sequence[Period]) -> list[tuple[Period, list[Object]]]:
    """Which pods end in which period. A priority below all periods belongs to the first."""
    found: list[tuple[Period, list[Object]]] = [(period, []) for period in periods]
    for pod in pods:
        priority = int(spec_of(pod).get("priority") or 0)
        index = sum(period.priority <= priority for period in periods)
        found[max(0, index - 1)][1].append(pod)
    return [(period, members) for period, members in found if members]


def grace_of(pod: Object, period: Period) -> int:
    """The pod's own grace period, but no longer than its group has."""
    own = spec_of(pod).get("terminationGracePeriodSeconds")
    return period.seconds if own is None else min(int(own), period.seconds)


class Announcer(Protocol):
    """Somebody who knows that the machine is about to end, and waits for us."""

    async def hold(self, seconds: float) -> None:
        """From now on the end of the machine is delayed by so long."""
        ...

    def announcements(self) -> AsyncIterator[bool]:
        """True when the machine is about to end, False when it was called off."""
        ...

    async def release(self) -> None:
        """The machine may end."""
        ...


class ShutdownManager:
    """Waits for the announcement, then ends the pods."""

    def __init__(
        self,
        announcer: Announcer | None,
        clock: Clock,
        *,
        periods: Sequence[Period],
        root: Path,
        pods: Callable[[], list[Object]],
        end: Callable[[Object, str, str, int], None],
        has_ended: Callable[[str], bool],
        tell: Callable[[str, str, str], None],
        changed: Callable[[], None],
    ) -> None:
        self._announcer = announcer
        self._clock = clock
        self._periods = periods
        self._state = root / STATE_FILE
        self._pods = pods
        self._end = end
        self._has_ended = has_ended
        self._tell = tell
        self._changed = changed
        self.is_ending = False
        self._ending: asyncio.Task[None] | None = None

    def complaint(self) -> str:
        """Why the node is not ready; empty while it is not ending."""
        return COMPLAINT if self.is_ending else ""

    async def run(self) -> None:
        """Hold the machine's end up, and act when it is announced."""
        if self._announcer is None or not self._periods:
            return
        while True:
            try:
                await self._announcer.hold(sum(period.seconds for period in self._periods))
                async for ending in self._announcer.announcements():
                    await self._announced(ending)
            except OSError as error:
                log.warning("end of the machine is not announced to us: %s", error)
            except Exception:
                log.exception("end of the machine is not announced to us")
            finally:
                await self._call_off()
            await self._clock.sleep(1.0)

    async def _announced(self, ending: bool) -> None:
        self._tell(
            "Normal",
            "NodeShutdown",
            "Shutdown manager detected shutdown event"
            if ending
            else "Shutdown manager detected shutdown cancellation",
        )
        await self._call_off()
        if ending:
            self.is_ending = True
            self._ending = asyncio.ensure_future(self._end_and_release())
        self._changed()

    async def _call_off(self) -> None:
        """Pods that were already asked to end do end; the others stay."""
        self.is_ending = False
        if self._ending is not None:
            self._ending.cancel()
            with suppress(asyncio.CancelledError):
                await self._ending
            self._ending = None

    async def _end_and_release(self) -> None:
        started = self._clock.now()
        metrics.SHUTDOWN_BEGAN.set((), started.timestamp())
        self._write({"startTime": started, "endTime": None})
        try:
            await self.end_pods()
        finally:
            metrics.SHUTDOWN_ENDED.set((), self._clock.now().timestamp())
            self._write({"startTime": started, "endTime": self._clock.now()})
        assert self._announcer is not None
        await self._announcer.release()

    async def end_pods(self) -> None:
        """Group after group. A group whose time is over does not hold the next one up."""
        for period, pods in groups_of(self._pods(), self._periods):
            log.info("shutdown: %d pods of priority %d and above end", len(pods), period.priority)
            for pod in pods:
                self._end(pod, REASON, MESSAGE, grace_of(pod, period))
            deadline = self._clock.monotonic() + period.seconds
            while not all(self._has_ended(uid_of(pod)) for pod in pods):
                if self._clock.monotonic() >= deadline:
                    log.warning("shutdown: pods of priority %d did not end in time", period.priority)
                    break
                await self._clock.sleep(POLL)

    def _write(self, times: Mapping[str, datetime | None]) -> None:
        """For whoever looks at the machine afterwards."""
        shown = {key: time.format_time(moment) if moment else None for key, moment in times.items()}
        try:
            self._state.write_bytes(orjson.dumps(shown))
        except OSError as error:
            log.warning("state of the shutdown not written: %s", error)
