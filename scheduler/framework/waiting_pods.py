"""Pods that have a node but are held by Permit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from kubarium.component_base.clock import Clock
from kubarium.component_base.options import format_duration
from scheduler.framework.pod_info import PodInfo


class WaitingPod:
    """A pod that waits until every plugin that holds it has allowed it, one has rejected it, or one's time is up."""

    def __init__(self, pod: PodInfo, node: str, holders: Mapping[str, float]) -> None:
        self.pod, self.node = pod, node
        self._holders = dict(holders)
        self._decided: asyncio.Future[tuple[str, str] | None] = asyncio.get_running_loop().create_future()

    @property
    def pending_plugins(self) -> list[str]:
        """Who has not allowed it yet."""
        return list(self._holders)

    def allow(self, plugin: str) -> None:
        """One holder lets go."""
        self._holders.pop(plugin, None)
        if not self._holders and not self._decided.done():
            self._decided.set_result(None)

    def reject(self, plugin: str, message: str) -> None:
        """The pod must go back to the queue."""
        if not self._decided.done():
            self._decided.set_result((plugin, message))

    async def decision(self, clock: Clock) -> tuple[str, str] | None:
        """None when allowed, else who rejected it and why."""
        timers = [
            asyncio.ensure_future(self._expire(clock, plugin, seconds))
            for plugin, seconds in self._holders.items()
        ]
        try:
            return await self._decided
        finally:
            for timer in timers:
                timer.cancel()

    async def _expire(self, clock: Clock, plugin: str, seconds: float) -> None:
        await clock.sleep(seconds)
        waited = format_duration(seconds)
        self.reject(plugin, f"rejected due to timeout after waiting {waited} at plugin {plugin}")


class WaitingPods:
    """All waiting pods of the scheduler, for the plugins that decide about them."""

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}

    def add(self, waiting: WaitingPod) -> None:
        """A pod begins to wait."""
        self._pods[waiting.pod.uid] = waiting

    def remove(self, pod: PodInfo) -> None:
        """It waits no more."""
        self._pods.pop(pod.uid, None)

    def get(self, uid: str) -> WaitingPod | None:
        """By uid."""
        return self._pods.get(uid)

    def __iter__(self) -> Iterator[WaitingPod]:
        return iter(list(self._pods.values()))
