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
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import resources
from kubarium.apimachinery import quantity, time
from kubarium.apimachinery.object import Object, annotations_of, generation_of, spec_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.runtime import interface
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, ContainerUsage, Runtime

log = logging.get(__name__)

PERIOD = 10.0  # seconds
CRITICAL_PRIORITY = 2_000_000_000

CONDITIONS = {
    "memory.available": "MemoryPressure",
    "nodefs.available": "DiskPressure",
    "nodefs.inodesFree": "DiskPressure",
    "imagefs.available": "DiskPressure",
    "imagefs.inodesFree": "DiskPressure",
    "pid.available": "PIDPressure",
}
RESOURCES = {
    "memory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "pid.available": "pids",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """How much of something is there, and how much of it is left."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Met:
    """A threshold that has been passed."""

    signal: str
    threshold: int
    available: int

    @property
    def message(self) -> str:
        """What the evicted pod's status says first."""
        resource = RESOURCES[self.signal]
        unit: quantity.Format = "BinarySI" if resource in ("memory", "ephemeral-storage") else "DecimalSI"
        threshold, available = (quantity.of_value(one, unit) for one in (self.threshold, self.available))
        return (
            f"The node was low on resource: {resource}. "
            f"Threshold quantity: {threshold}, available: {_in_ki(available, self.available, resource)}. "
        )


def _in_ki(text: str, amount: int, resource: str) -> str:
    return f"{amount // 1024}Ki" if resource in ("memory", "ephemeral-storage") else text


def thresholds_met(observed: Mapping[str, Observation], thresholds: Mapping[str, str]) -> list[Met]:
    """Which signals are below their threshold; a threshold is an amount or a percentage."""
    met = []
    for signal, text in thresholds.items():
        seen = observed.get(signal)
        if seen is None:
            continue
        threshold = (
            int(seen.capacity * float(text[:-1]) / 100) if text.endswith("%") else quantity.value(text)
        )
        if seen.available < threshold:
            met.append(Met(signal, threshold, seen.available))
    return met


def rank(pods: Iterable[Object], usage: Mapping[str, int], resource: str) -> list[Object]:
    """Pods in the order in which they should go; critical ones are left out."""

    def key(pod: Object) -> tuple[bool, int, int]:
        asked = resources.requests_of(pod).get(resource, 0)
        used = usage.get(uid_of(pod), 0)
        return (used <= asked, priority_of(pod), asked - used)

    return sorted((pod for pod in pods if not is_critical(pod)), key=key)


def priority_of(pod: Object) -> int:
    """`spec.priority`."""
    return int(spec_of(pod).get("priority") or 0)


def is_critical(pod: Object) -> bool:
    """Static pods and those of the system's own priority classes are never evicted."""
    return (
        priority_of(pod) >= CRITICAL_PRIORITY
        or annotations_of(pod).get("kubernetes.io/config.source", "api") != "api"
    )


def refuses(pod: Object, pressure: Mapping[str, bool]) -> str:
    """Why a new pod may not begin on a node under pressure; empty when it may."""
    if not any(pressure.values()) or is_critical(pod):
        return ""
    if {kind for kind, is_so in pressure.items() if is_so} == {"MemoryPressure"}:
        tolerated = any(
            one.get("key") == "node.kubernetes.io/memory-pressure"
            for one in spec_of(pod).get("tolerations") or []
        )
        if resources.qos_class(pod) != "BestEffort" or tolerated:
            return ""
    under = sorted(kind for kind, is_so in pressure.items() if is_so)
    return f"Pod was rejected: The node had condition: [{' '.join(under)}]. "


def over_limit(pod: Object, volumes: Mapping[str, int], writable: Mapping[str, int]) -> str:
    """Which of its own limits of local disk the pod has passed; empty when none."""
    for volume in spec_of(pod).get("volumes") or []:
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        if limit and quantity.value(limit) > 0 and volumes.get(volume["name"], 0) > quantity.value(limit):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
    total = 0
    for container in pod_containers.containers_of(pod):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
        if limit and writable.get(container["name"], 0) > quantity.value(limit):
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{limit}". '
        total += quantity.value(limit) if limit else 0
    used = sum(writable.values()) + sum(volumes.values())
    if total and used > total:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {quantity.of_value(total)}. "
    return ""


@dataclass(slots=True)
class _Pressure:
    since: dict[str, float] = field(default_factory=dict)  # condition -> when it was last seen to be so


class EvictionManager:
    """Looks every ten seconds."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        *,
        thresholds: Mapping[str, str],
        transition_seconds: float,
        observe: Callable[[], Mapping[str, Observation]],
        pods: Callable[[], list[Object]],
        volumes: Callable[[str], Path],
        free_disk: Callable[[], Awaitable[None]],
        fail: Callable[[Object, str, Object], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._thresholds = thresholds
        self._transition_seconds = transition_seconds
        self._observe = observe
        self._pods = pods
        self._volumes = volumes
        self._free_disk = free_disk
        self._fail = fail
        self._changed = changed
        self._pressure = _Pressure()

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except (ContainerRuntimeError, OSError) as error:
                log.info("no look at the node's pressure: %s", error)
            except Exception:
                log.exception("no look at the node's pressure")
            await self._clock.sleep(PERIOD)

    def pressure(self) -> dict[str, bool]:
        """The node's conditions."""
        now = self._clock.monotonic()
        return {
            kind: kind in self._pressure.since
            and now - self._pressure.since[kind] <= self._transition_seconds
            for kind in dict.fromkeys(CONDITIONS.values())
        }

    async def look(self) -> None:
        """One look: conditions, then at most one eviction by rank."""
        before = self.pressure()
        met = thresholds_met(self._observe(), self._thresholds)
        for one in met:
            self._pressure.since[CONDITIONS[one.signal]] = self._clock.monotonic()
        if self.pressure() != before:
            self._changed()
        usage = await self._runtime.container_usage()
        if await self._evict_over_limit(usage) or not met:
            return
        if any(CONDITIONS[one.signal] == "DiskPressure" for one in met):
            await self._free_disk()
            met = thresholds_met(self._observe(), self._thresholds)
        if met:
            self._evict_one(met[0], usage)

    def _evict_one(self, met: Met, usage: Sequence[ContainerUsage]) -> None:
        resource = RESOURCES[met.signal]
        used: dict[str, int] = {}
        for one in usage:
            uid = one.labels.get(interface.POD_UID, "")
            amount = one.memory_working_set if resource == "memory" else one.filesystem_used
            used[uid] = used.get(uid, 0) + amount
        log.warning("eviction: %s is below its threshold", met.signal)
        candidates = rank(self._active(), used, resource)
        if candidates:
            self._evict(candidates[0], met.message + _consumption(candidates[0], usage, resource))

    async def _evict_over_limit(self, usage: Sequence[ContainerUsage]) -> bool:
        evicted = False
        for pod in self._active():
            if not _has_disk_limits(pod):
                continue
            sizes = await asyncio.to_thread(_sizes, self._volumes(uid_of(pod)), pod)
            writable = {
                one.name: one.filesystem_used
                for one in usage
                if one.labels.get(interface.POD_UID) == uid_of(pod)
            }
            complaint = over_limit(pod, sizes, writable)
            if complaint:
                self._evict(pod, complaint)
                evicted = True
        return evicted

    def _active(self) -> list[Object]:
        return [
            pod
            for pod in self._pods()
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
        ]

    def _evict(self, pod: Object, message: str) -> None:
        self._recorder.event(pod, "Warning", "Evicted", message)
        condition: Object = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": message,
            "lastTransitionTime": time.format_time(self._clock.now()),
        }
        if generation_of(pod):
            condition["observedGeneration"] = generation_of(pod)
        log.warning("pod %s evicted: %s", logging.name(pod), message)
        self._fail(pod, message, condition)


def _consumption(pod: Object, usage: Sequence[ContainerUsage], resource: str) -> str:
    """Which containers used more than they asked for."""
    parts = []
    for container in pod_containers.containers_of(pod):
        asked = quantity.value(((container.get("resources") or {}).get("requests") or {}).get(resource, "0"))
        for one in usage:
            if one.name != container["name"] or one.labels.get(interface.POD_UID) != uid_of(pod):
                continue
            used = one.memory_working_set if resource == "memory" else one.filesystem_used
            if used > asked:
                parts.append(
                    f"Container {one.name} was using {used // 1024}Ki, "
                    f"request is {quantity.of_value(asked, 'BinarySI')}, has larger consumption of {resource}. "
                )
    return "".join(parts)


def _has_disk_limits(pod: Object) -> bool:
    limited = any(
        (volume.get("emptyDir") or {}).get("sizeLimit") for volume in spec_of(pod).get("volumes") or []
    )
    return limited or any(
        "ephemeral-storage" in ((one.get("resources") or {}).get("limits") or {})
        for one in pod_containers.containers_of(pod)
    )


def _sizes(directory: Path, pod: Object) -> dict[str, int]:
    """Bytes in each of the pod's emptyDir volumes on disk."""
    found = {}
    for volume in spec_of(pod).get("volumes") or []:
        source = volume.get("emptyDir")
        if source is not None and source.get("medium") != "Memory":
            found[volume["name"]] = _size(directory / "volumes" / "kubernetes.io~empty-dir" / volume["name"])
    return found


def _size(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                total += os.lstat(os.path.join(folder, file)).st_blocks * 512
            except OSError:
                continue
    return total
