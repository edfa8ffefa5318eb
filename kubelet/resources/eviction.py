"""Pressure -> conditions -> which pod goes.

    observe ──▶ thresholds met? ──▶ condition of the node (stays for a while after the pressure is over)
                    │ still met after images and dead containers were removed
                    ▼
                rank pods: uses more than it asked for, lower priority, by how much ──▶ the first one is evicted

Also evicted, without any ranking: pods that fill more local disk than their own limits allow.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubarium.apimachinery.object import Object, spec_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet import metrics
from kubelet.resources import local_storage, ranking, thresholds
from kubelet.resources.local_storage import LocalStorage
from kubelet.resources.ranking import Consumption
from kubelet.resources.signals import Signals
from kubelet.resources.thresholds import Met, Watch
from kubelet.runtime import interface
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, ContainerUsage, Runtime

log = logging.get(__name__)

PERIOD = 10.0  # seconds
CLEANUP_PATIENCE = 30.0  # seconds for which an evicted pod may take to let go of what it used
HARD_GRACE = 1  # seconds


@dataclass(frozen=True, slots=True)
class Policy:
    """When and how pods are evicted."""

    thresholds: Sequence[thresholds.Threshold]
    transition_seconds: float = 300.0
    max_pod_grace: int = 0  # for soft thresholds; negative: the pod's own


class EvictionManager:
    """Looks every ten seconds; evicts at most one pod by rank in a look."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        *,
        policy: Policy,
        signals: Signals,
        node: Callable[[], Object],
        pods: Callable[[], list[Object]],
        directory: Callable[[str], Path],
        logs: Callable[[Object], Path],
        processes: Callable[[Object], int],
        free_containers: Callable[[], Awaitable[None]],
        free_images: Callable[[], Awaitable[None]],
        fail: Callable[[Object, str, str, int | None], None],
        has_finished: Callable[[str], bool],
        changed: Callable[[], None] = lambda: None,
        local_limits: bool = True,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._policy = policy
        self._signals = signals
        self._node = node
        self._pods = pods
        self._directory = directory
        self._logs = logs
        self._processes = processes
        self._free_containers = free_containers
        self._free_images = free_images
        self._fail = fail
        self._has_finished = has_finished
        self._changed = changed
        self._local_limits = local_limits  # are limits of ephemeral storage enforced?
        self._watch = Watch([*policy.thresholds, *thresholds.for_allocatable(policy.thresholds)])
        self._since: dict[str, float] = {}  # condition -> when it was last seen to be so

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                evicted = await self.look()
                if evicted:
                    await self._wait_for(evicted)
                    continue
            except (ContainerRuntimeError, OSError) as error:
                log.info("no look at the node's pressure: %s", error)
            except Exception:
                log.exception("no look at the node's pressure")
            await self._clock.sleep(PERIOD)

    def pressure(self) -> dict[str, bool]:
        """The node's conditions."""
        now = self._clock.monotonic()
        return {
            kind: kind in self._since and now - self._since[kind] <= self._policy.transition_seconds
            for kind in dict.fromkeys(thresholds.CONDITIONS.values())
        }

    async def look(self) -> list[str]:
        """One look; the answer names the pods that were evicted."""
        image_root = await self._image_root()
        before = self.pressure()
        passed, due = self._watch.look(self._signals.look(image_root), self._clock.monotonic())
        for one in passed:
            self._since[thresholds.CONDITIONS[one.signal]] = self._clock.monotonic()
        if self.pressure() != before:
            self._changed()
        usage = await self._runtime.container_usage()
        evicted = await self._evict_over_limit(usage) if self._local_limits else []
        if evicted or not due:
            return evicted
        first = due[0]
        text = thresholds.of_resource(first.available, first.resource)
        log.warning("eviction: %s is below its threshold (%s left)", first.signal, text)
        self._recorder.event(
            self._node(), "Warning", "EvictionThresholdMet", f"Attempting to reclaim {first.resource}"
        )
        if await self._win_back(first, image_root):
            return []
        return await self._evict_first(first, usage, image_root)

    async def _image_root(self) -> str:
        try:
            return (await self._runtime.image_filesystem())[0]
        except ContainerRuntimeError:
            return ""

    async def _win_back(self, met: Met, image_root: str) -> bool:
        """Free the disk of what no pod needs; True when that was enough."""
        own_disk = self._signals.has_own_image_disk(image_root)
        if thresholds.CONDITIONS[met.signal] != "DiskPressure":
            return False
        if own_disk and met.signal.startswith("nodefs"):
            return False  # neither images nor containers lie there
        await self._free_containers()
        await self._free_images()
        passed, _ = self._watch.look(self._signals.look(image_root), self._clock.monotonic())
        return not any(thresholds.CONDITIONS[one.signal] == "DiskPressure" for one in passed)

    # -- one by rank -----------------------------------------------------------------------------------------------

    async def _evict_first(self, met: Met, usage: Sequence[ContainerUsage], image_root: str) -> list[str]:
        pods = self._active()
        used = await self._consumption(pods, met, usage, image_root)
        candidates = ranking.rank(pods, used, met.resource)
        if not candidates:
            log.warning("eviction: no pod can be evicted for %s", met.signal)
            return []
        pod = candidates[0]
        message = met.message + ranking.complaint(pod, used.get(uid_of(pod), Consumption()), met.resource)
        self._evict(pod, met.signal, message, self._grace(pod, met))
        return [uid_of(pod)]

    def _grace(self, pod: Object, met: Met) -> int | None:
        """A hard threshold leaves a moment; a soft one what is configured, but never more than the pod's own."""
        if not met.threshold.grace:
            return HARD_GRACE
        own = int(spec_of(pod).get("terminationGracePeriodSeconds") or 0)
        most = self._policy.max_pod_grace
        return own if most < 0 else min(most, own)

    async def _consumption(
        self, pods: Sequence[Object], met: Met, usage: Sequence[ContainerUsage], image_root: str
    ) -> dict[str, Consumption]:
        by_pod: dict[str, list[ContainerUsage]] = {}
        for one in usage:
            by_pod.setdefault(one.labels.get(interface.POD_UID, ""), []).append(one)
        own_disk = self._signals.has_own_image_disk(image_root)
        layers = not (own_disk and met.signal.startswith("nodefs"))
        volumes = not (own_disk and met.signal.startswith(("imagefs", "containerfs")))
        found = {}
        for pod in pods:
            mine = by_pod.get(uid_of(pod), [])
            if met.resource == "memory":
                found[uid_of(pod)] = Consumption({one.name: one.memory_working_set for one in mine})
            elif met.resource == "pids":
                found[uid_of(pod)] = Consumption(besides=self._processes(pod))
            else:
                storage = await self._measure(pod) if volumes else LocalStorage()
                found[uid_of(pod)] = _disk(mine if layers else [], storage, met.resource == "inodes")
        return found

    # -- by their own limits ---------------------------------------------------------------------------------------

    async def _evict_over_limit(self, usage: Sequence[ContainerUsage]) -> list[str]:
        evicted = []
        for pod in self._active():
            if not local_storage.has_limits(pod):
                continue
            writable = {
                one.name: one.filesystem_used
                for one in usage
                if one.labels.get(interface.POD_UID) == uid_of(pod)
            }
            signal, complaint = local_storage.over_limit(pod, await self._measure(pod), writable)
            if complaint and not ranking.is_critical(pod):
                self._evict(pod, signal, complaint, HARD_GRACE)
                evicted.append(uid_of(pod))
        return evicted

    async def _measure(self, pod: Object) -> LocalStorage:
        return await asyncio.to_thread(
            local_storage.measure, pod, self._directory(uid_of(pod)), self._logs(pod)
        )

    def _active(self) -> list[Object]:
        return [
            pod
            for pod in self._pods()
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]

    # -- the eviction itself ---------------------------------------------------------------------------------------

    def _evict(self, pod: Object, signal: str, message: str, grace: int | None) -> None:
        metrics.EVICTIONS.add((signal,))
        self._recorder.event(pod, "Warning", "Evicted", message)
        log.warning("pod %s evicted: %s", logging.name(pod), message)
        self._fail(pod, "Evicted", message, grace)

    async def _wait_for(self, uids: Sequence[str]) -> None:
        """What an evicted pod used comes free only when it has ended: until then nobody else need go."""
        waited = 0.0
        while waited < CLEANUP_PATIENCE and not all(self._has_finished(uid) for uid in uids):
            await self._clock.sleep(1.0)
            waited += 1.0


def _disk(usage: Sequence[ContainerUsage], storage: LocalStorage, inodes: bool) -> Consumption:
    """Writable layers and logs of each container, and the volumes."""
    containers = {one.name: one.inodes_used if inodes else one.filesystem_used for one in usage}
    for name, log_size in storage.logs.items():
        containers[name] = containers.get(name, 0) + (log_size.inodes if inodes else log_size.bytes)
    volumes = sum(one.inodes if inodes else one.bytes for one in storage.volumes.values())
    return Consumption(containers, volumes)
