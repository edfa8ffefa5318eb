"""Pod lifecycle event generator: list what the runtime has, compare with the last list, say which pods changed.

The list is the truth and is taken every second. The runtime's own events only make it be taken earlier; they may be
lost (over a restart of the runtime, say) without harm. What a pod's worker has seen by itself is compared with, too: it
starts containers, looks at them, and need not be told of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, sleep_unless
from kubarium.component_base.options import format_duration
from kubelet import metrics
from kubelet.runtime.interface import ContainerRuntimeError, Runtime, Unsupported
from kubelet.runtime.state import PodState

log = logging.get(__name__)

RELIST_PERIOD = 1.0  # seconds
HINT_DELAY = 0.02  # several events of one pod come together
HEALTHY_WITHIN = 180.0

Snapshot = dict[str, tuple[str, str]]
"""Id of a sandbox or container -> pod uid, state."""


class PLEG:
    """Says `changed(pod_uid)`."""

    def __init__(self, runtime: Runtime, clock: Clock, changed: Callable[[str], None]) -> None:
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._snapshot: Snapshot = {}
        self._containers: set[str] = set()
        self._names: dict[str, tuple[str, str]] = {}
        self._hint = asyncio.Event()
        self._last: float | None = None
        self._relisted = asyncio.Event()

    async def run(self) -> None:
        """List again and again."""
        while True:
            try:
                await self.relist()
            except ContainerRuntimeError as error:
                log.warning("runtime not listed: %s", error)
            except Exception:
                log.exception("runtime not listed")
            await self._wait()

    async def listen(self) -> None:
        """Turn the runtime's events into hints."""
        while True:
            try:
                async for _ in self._runtime.changes():
                    self._hint.set()
            except Unsupported:
                log.info("the runtime has no events; the list every %.0f s must do", RELIST_PERIOD)
                return
            except ContainerRuntimeError as error:
                log.debug("runtime events interrupted: %s", error)
            await self._clock.sleep(1.0)

    async def relist(self) -> None:
        """One list, one comparison."""
        started = time.perf_counter()
        sandboxes, containers = await asyncio.gather(
            self._runtime.list_sandboxes(), self._runtime.list_containers()
        )
        fresh: Snapshot = {}
        for sandbox in sandboxes:
            fresh[sandbox.id] = (sandbox.pod_uid, sandbox.state)
            self._names[sandbox.pod_uid] = (sandbox.namespace, sandbox.name)
        self._containers = {container.id for container in containers}
        for container in containers:
            fresh[container.id] = (container.pod_uid, container.state)
        before, self._snapshot = self._snapshot, fresh
        last, self._last = self._last, self._clock.monotonic()
        if last is not None:
            metrics.RELIST_INTERVAL.observe((), self._last - last)
        metrics.LAST_RELIST.set((), self._clock.now().timestamp())
        changed = {uid for id, (uid, _) in before.items() if id not in fresh}
        changed |= {entry[0] for id, entry in fresh.items() if before.get(id) != entry}
        for uid in changed:
            self._changed(uid)
        present = self.pods()
        for uid in [uid for uid in self._names if uid not in present]:
            del self._names[uid]
        self._relisted.set()
        metrics.RELIST_SECONDS.observe((), time.perf_counter() - started)

    def seen(self, state: PodState) -> None:
        """The pod's worker has seen this, and found nothing left to do: it is told of what differs from it.

        A list that is being taken meanwhile may be older. Then it is told of what it knows, and looks once more.
        """
        kept = {id: entry for id, entry in self._snapshot.items() if entry[0] != state.uid}
        sandboxes = {one.id: (state.uid, one.state) for one in state.sandboxes}
        containers = {one.id: (state.uid, one.state) for one in state.containers}
        self._snapshot = kept | sandboxes | containers
        self._containers.update(one.id for one in state.containers)
        for sandbox in state.sandboxes:
            self._names[state.uid] = (sandbox.namespace, sandbox.name)

    async def ready(self) -> None:
        """Return when the runtime has been listed once."""
        await self._relisted.wait()

    @property
    def was_listed(self) -> bool:
        """Has the runtime been listed at least once?"""
        return self._last is not None

    def pods(self) -> set[str]:
        """Uids of pods of which the runtime has anything."""
        return {uid for uid, _ in self._snapshot.values()}

    def knows(self, pod_uid: str) -> bool:
        """Does the runtime have anything of this pod?"""
        return pod_uid in self.pods()

    def running_pods(self) -> set[str]:
        """Uids of pods of which something runs."""
        return {uid for uid, state in self._snapshot.values() if state in ("ready", "running", "unknown")}

    def containers_by_state(self) -> dict[str, int]:
        """How many containers are in which state."""
        states = [state for id, (_, state) in self._snapshot.items() if id in self._containers]
        return {state: states.count(state) for state in ("created", "running", "exited", "unknown")}

    def name_of(self, pod_uid: str) -> tuple[str, str]:
        """Namespace and name of a pod that only the runtime knows."""
        return self._names.get(pod_uid, ("", ""))

    def complaint(self) -> str:
        """Why the node is not healthy; empty when it is."""
        if self._last is None:
            return "PLEG is not healthy: pleg has yet to be successful"
        age = self._clock.monotonic() - self._last
        if age > HEALTHY_WITHIN:
            ages = format_duration(age), format_duration(HEALTHY_WITHIN)
            return "PLEG is not healthy: pleg was last seen active {} ago; threshold is {}".format(*ages)
        return ""

    async def _wait(self) -> None:
        """Until the period is over or a hint comes."""
        await sleep_unless(self._clock, RELIST_PERIOD, self._hint)
        if self._hint.is_set():
            self._hint.clear()
            await self._clock.sleep(HINT_DELAY)
