"""What the node, its pods and their containers use: the summary API and the resource metrics.

A rate needs two samples: the CPU rate is taken between this look and the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock
from kubelet.node import machine
from kubelet.resources.local_storage import LocalStorage, Size
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerUsage, Runtime, SandboxUsage

MINIMUM_WINDOW = 5.0  # seconds between two samples of which a rate is made


class Rates:
    """Remembers the last sample of every counter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, int] = {}

    def rate(self, key: str, total: int, moment: float | None = None) -> int | None:
        """Nanocores since the last sample that is old enough."""
        now = self._clock.monotonic() if moment is None else moment
        last = self._samples.get(key)
        if last is None or total < last[1]:
            self._samples[key] = (now, total)
            return None
        if now - last[0] >= MINIMUM_WINDOW:
            self._rates[key] = int((total - last[1]) / (now - last[0]))
            self._samples[key] = (now, total)
        return self._rates.get(key)

    def keep(self, keys: Iterable[str]) -> None:
        """Forget everything else."""
        wanted = set(keys)
        for table in (self._samples, self._rates):
            for key in [key for key in table if key not in wanted]:
                del table[key]


class Stats:
    """Looks when it is asked."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        *,
        node_name: str,
        root: str,
        cgroup: str,
        pods: Callable[[], list[Object]],
        volumes: Callable[[str], list[Object]] = lambda uid: [],
        storage: Callable[[Object], LocalStorage] = lambda pod: LocalStorage(),
        processes: Callable[[Object], int] = lambda pod: 0,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._storage = storage
        self._processes = processes
        self._rates = Rates(clock)
        self._node_name = node_name
        self._root = root
        self._cgroup = cgroup
        self._pods = pods
        self._volumes = volumes
        self._started = clock.now()

    async def sample(self) -> None:
        """Take a sample now and then, so that the first rate is there when somebody asks."""
        while True:
            with contextlib.suppress(interface.ContainerRuntimeError):
                await self._containers()
            self._node_cpu()
            await self._clock.sleep(15.0)

    async def summary(self) -> Object:
        """`/stats/summary`."""
        usage, networks = await self._containers(), await self._runtime.sandbox_usage()
        by_pod: dict[str, list[ContainerUsage]] = defaultdict(list)
        for one in usage:
            by_pod[one.labels.get(interface.POD_UID, "")].append(one)
        network = {one.pod_uid: one for one in networks}
        pods = []
        for pod in self._pods():
            uid = pod["metadata"]["uid"]
            if uid in by_pod:
                found = self._pod(pod, by_pod[uid], network.get(uid))
                found |= await self._disk_of_pod(pod, by_pod[uid], found["containers"])
                pods.append(found)
        return {"node": await self._node(), "pods": pods}

    async def _disk_of_pod(self, pod: Object, usage: list[ContainerUsage], parts: list[Object]) -> Object:
        """All that the pod fills of the node's own disk; each container gets its logs."""
        storage = await asyncio.to_thread(self._storage, pod)
        node = self._disk(self._root)
        shared = {
            key: node.get(key, 0) for key in ("availableBytes", "capacityBytes", "inodes", "inodesFree")
        }
        for part in parts:
            log = storage.logs.get(part["name"], Size())
            moment = {"time": part["cpu"]["time"]}
            part["logs"] = {**moment, **shared, "usedBytes": log.bytes, "inodesUsed": log.inodes}
            part["rootfs"] = {**shared, **part["rootfs"]}
        used = storage.total + Size(
            sum(one.filesystem_used for one in usage), sum(one.inodes_used for one in usage)
        )
        return {
            "ephemeral-storage": {
                "time": self._now(),
                **shared,
                "usedBytes": used.bytes,
                "inodesUsed": used.inodes,
            },
            "process_stats": {"process_count": self._processes(pod)},
        }

    async def _containers(self) -> list[ContainerUsage]:
        usage = await self._runtime.container_usage()
        for one in usage:
            self._rates.rate(one.id, one.cpu_nanoseconds, one.timestamp / 1e9)
        self._rates.keep([*(one.id for one in usage), "node"])
        return usage

    def _pod(self, pod: Object, containers: list[ContainerUsage], network: SandboxUsage | None) -> Object:
        metadata = pod["metadata"]
        began = {
            one["name"]: ((one.get("state") or {}).get("running") or {}).get("startedAt")
            for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
            for one in (pod.get("status") or {}).get(key) or []
        }
        parts = [self._container(one, began.get(one.name)) for one in containers]
        found: Object = {
            "podRef": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "startTime": (pod.get("status") or {}).get("startTime"),
            "containers": parts,
            "cpu": _sum([part["cpu"] for part in parts]),
            "memory": _sum([part["memory"] for part in parts]),
        }
        volumes = self._volumes(metadata["uid"])
        if volumes:
            found["volume"] = volumes
        if network is not None:
            found["network"] = {
                "time": self._now(),
                "name": network.interface,
                "rxBytes": network.rx_bytes,
                "rxErrors": network.rx_errors,
                "txBytes": network.tx_bytes,
                "txErrors": network.tx_errors,
                "interfaces": [],
            }
        return found

    def _container(self, one: ContainerUsage, began: str | None) -> Object:
        moment = _moment(one.timestamp) or self._now()
        cpu: Object = {"time": moment, "usageCoreNanoSeconds": one.cpu_nanoseconds}
        rate = self._rates.rate(one.id, one.cpu_nanoseconds, one.timestamp / 1e9)
        cpu["usageNanoCores"] = rate or 0
        return {
            "name": one.name,
            "startTime": began or time.format_time(self._started),
            "cpu": cpu,
            "memory": {
                "time": moment,
                "workingSetBytes": one.memory_working_set,
                "usageBytes": one.memory_usage or one.memory_working_set,
                "rssBytes": one.memory_rss,
                "pageFaults": 0,
                "majorPageFaults": 0,
            },
            "swap": {"time": moment, "swapUsageBytes": 0},
            "rootfs": {"time": moment, "usedBytes": one.filesystem_used, "inodesUsed": one.inodes_used},
        }

    async def _node(self) -> Object:
        whole, used = _node_memory(self._cgroup)
        total = self._node_cpu()
        place, image_bytes, image_inodes = await self._runtime.image_filesystem()
        most, present = machine.processes()
        return {
            "nodeName": self._node_name,
            "startTime": time.format_time(self._started),
            "cpu": {
                "time": self._now(),
                "usageNanoCores": self._rates.rate("node", total) or 0,
                "usageCoreNanoSeconds": total,
            },
            "memory": {
                "time": self._now(),
                "availableBytes": max(0, whole - used),
                "usageBytes": used,
                "workingSetBytes": used,
                "rssBytes": used,
            },
            "rlimit": {"time": self._now(), "maxpid": most, "curproc": present},
            "fs": self._disk(self._root),
            "runtime": {
                "imageFs": {
                    **self._disk(place or self._root),
                    "usedBytes": image_bytes,
                    "inodesUsed": image_inodes,
                }
            },
        }

    def _node_cpu(self) -> int:
        total = _node_cpu(self._cgroup)
        self._rates.rate("node", total)
        return total

    def _disk(self, path: str) -> Object:
        try:
            disk = os.statvfs(path)
        except OSError:
            return {"time": self._now()}
        return {
            "time": self._now(),
            "availableBytes": disk.f_bavail * disk.f_frsize,
            "capacityBytes": disk.f_blocks * disk.f_frsize,
            "usedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
            "inodesFree": disk.f_ffree,
            "inodes": disk.f_files,
            "inodesUsed": disk.f_files - disk.f_ffree,
        }

    def _now(self) -> str:
        return time.format_time(self._clock.now())


def _sum(parts: list[dict[str, Any]]) -> Object:
    total: Object = {}
    for part in parts:
        for key, value in part.items():
            total[key] = value if key == "time" else total.get(key, 0) + value
    return total


def _moment(nanoseconds: int) -> str:
    return time.format_time(datetime.fromtimestamp(nanoseconds / 1e9, UTC)) if nanoseconds else ""


def _node_memory(cgroup: str) -> tuple[int, int]:
    """Bytes of the machine, and bytes used by the node: its own cgroup if it has one, else the machine."""
    found = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    whole = found.get("MemTotal", 0)
    used = _read_number(f"/sys/fs/cgroup/memory{cgroup}/memory.usage_in_bytes") or _read_number(
        f"/sys/fs/cgroup{cgroup}/memory.current"
    )
    inactive = _inactive(cgroup)
    if used and cgroup != "/":
        return whole, max(0, used - inactive)
    return whole, whole - found.get("MemAvailable", 0)


def _inactive(cgroup: str) -> int:
    for path, key in (
        (f"/sys/fs/cgroup/memory{cgroup}/memory.stat", "total_inactive_file"),
        (f"/sys/fs/cgroup{cgroup}/memory.stat", "inactive_file"),
    ):
        try:
            for line in Path(path).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
        except OSError:
            continue
    return 0


def _node_cpu(cgroup: str) -> int:
    """Nanoseconds of CPU time used by the node."""
    found = _read_number(f"/sys/fs/cgroup/cpuacct{cgroup}/cpuacct.usage")
    if found:
        return found
    try:
        for line in Path(f"/sys/fs/cgroup{cgroup}/cpu.stat").read_text().splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) * 1000
    except OSError:
        pass
    ticks = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    busy = sum(int(tick) for index, tick in enumerate(ticks[:8]) if index not in (3, 4))
    return busy * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _read_number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return 0
