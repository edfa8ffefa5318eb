"""The cgroup tree of pods: `<root>/kubepods/[burstable|besteffort]/pod<uid>`, on cgroup v1 and v2.

Guaranteed pods lie directly under `kubepods`. The runtime makes the containers' cgroups below; it leaves the pod's
directories behind, so they are removed here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from kubarium.api.core.pod import resources
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, uid_of
from kubarium.component_base import logging
from kubelet import metrics
from kubelet.resources import limits

log = logging.get(__name__)

MOUNT = Path("/sys/fs/cgroup")
KUBEPODS = "kubepods"
V1_CONTROLLERS = (
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "devices",
    "freezer",
    "systemd",
    "hugetlb",
)
V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")
QOS_DIRECTORY = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}


class Cgroups:
    """Makes, limits and removes the cgroups of pods."""

    def __init__(
        self, root: str = "/", mount: Path = MOUNT, *, pod_pids: int = -1, cfs_period: int = limits.PERIOD
    ) -> None:
        self._mount = mount
        self._pod_pids = pod_pids
        self._cfs_period = cfs_period
        root = "/" + root.strip("/")
        # `--cgroup-root=/node-1/kubepods` names the directory itself.
        self._base = root if root.endswith(f"/{KUBEPODS}") else f"{root.rstrip('/')}/{KUBEPODS}"
        self.is_v2 = (mount / "cgroup.controllers").exists()

    def parent_of(self, pod: Object) -> str:
        """The pod's cgroup, as the runtime is told."""
        directory = QOS_DIRECTORY[resources.qos_class(pod)]
        return "/".join(part for part in (self._base, directory, f"pod{uid_of(pod)}") if part)

    def place(self, path: str, controller: str) -> Path:
        """Where a cgroup lies in the hierarchy of a controller. `path` begins where `kubepods` lies."""
        above = self._base.removesuffix(f"/{KUBEPODS}").strip("/")
        return (self._mount if self.is_v2 else self._mount / controller) / above / path.lstrip("/")

    def tree(self) -> list[str]:
        """The node, all pods, each class, each pod and each container, as paths that begin where `kubepods` lies."""
        found, above = ["", f"/{KUBEPODS}"], [f"/{KUBEPODS}"]
        for _ in range(3):  # class and pod, or pod and container, or all three
            below = []
            for path in above:
                with contextlib.suppress(OSError):  # gone meanwhile
                    entries = os.scandir(self.place(path, "memory"))
                    below += sorted(f"{path}/{entry.name}" for entry in entries if entry.is_dir())
            found += below
            above = [
                path for path in below if path.count("/pod") == 0 or path.rpartition("/")[2].startswith("pod")
            ]
        return found

    def set_up(self) -> None:
        """Make the tree's upper levels, and let them hand controllers down."""
        for directory in (self._base, *(f"{self._base}/{name}" for name in QOS_DIRECTORY.values() if name)):
            self._make(directory)
        self._write_shares(f"{self._base}/besteffort", limits.MIN_SHARES)

    def enforce_allocatable(self, milli_cpu: int, memory: int) -> None:
        """All pods together may use what is not reserved for the system.

        Eviction thresholds are not taken off: before this limit is reached, pods are evicted.
        """
        self._write_shares(self._base, limits.cpu_shares(milli_cpu))
        self._write_memory(self._base, memory)

    def enforce_processes(self, most: int) -> None:
        """All pods together may have so many processes."""
        self._write_pids(self._base, most)

    def enforce_reserved(self, path: str, amounts: Mapping[str, str]) -> None:
        """Hold a cgroup of somebody else to what is reserved for it. Raises FileNotFoundError when there is none."""
        if not all((hierarchy / path.strip("/")).is_dir() for hierarchy in self._hierarchies):
            raise FileNotFoundError(f'"{path}" cgroup does not exist')
        if "cpu" in amounts:
            self._write_shares(path, limits.cpu_shares(quantity.milli_value(amounts["cpu"])))
        if "memory" in amounts:
            self._write_memory(path, quantity.value(amounts["memory"]))
        if "pid" in amounts:
            self._write_pids(path, quantity.value(amounts["pid"]))

    def share_by_class(self, pods: Iterable[Object]) -> None:
        """Burstable pods together weigh what they asked for together."""
        asked = sum(
            resources.requests_of(pod).get("cpu", 0)
            for pod in pods
            if resources.qos_class(pod) == "Burstable"
        )
        self._write_shares(f"{self._base}/burstable", limits.cpu_shares(asked))

    def working_set(self) -> int | None:
        """Bytes of memory that all pods together use and that could not be given back at once."""
        if self.is_v2:
            place, usage, inactive = self._mount, "memory.current", "inactive_file"
        else:
            place, usage, inactive = self._mount / "memory", "memory.usage_in_bytes", "total_inactive_file"
        directory = place / self._base.lstrip("/")
        try:
            used = int((directory / usage).read_text())
            for line in (directory / "memory.stat").read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == inactive:
                    used -= int(value)
        except (OSError, ValueError):
            return None
        return max(0, used)

    def processes(self, pod: Object) -> int:
        """How many processes of a pod there are."""
        place = (self._mount if self.is_v2 else self._mount / "pids") / self.parent_of(pod).lstrip("/")
        try:
            return int((place / "pids.current").read_text())
        except (OSError, ValueError):
            return 0

    def create(self, pod: Object) -> str:
        """Make the pod's cgroup with the pod's limits; returns its path below the mount."""
        path = self.parent_of(pod)
        with metrics.CGROUP_SECONDS.timed(("create",)):
            self._make(path)
        self.apply(pod)
        return path

    def apply(self, pod: Object) -> None:
        """Write the pod's weights and limits."""
        with metrics.CGROUP_SECONDS.timed(("update",)):
            self._apply(pod)

    def _apply(self, pod: Object) -> None:
        path, wanted = self.parent_of(pod), limits.pod_resources(pod, self._cfs_period)
        self._write_shares(path, wanted["cpu_shares"])
        quota, memory = wanted.get("cpu_quota"), wanted.get("memory_limit_in_bytes")
        period = wanted.get("cpu_period") or limits.PERIOD
        if self.is_v2:
            self._write(path, "", "cpu.max", f"{quota or 'max'} {period}")
            self._write(path, "", "memory.max", str(memory or "max"))
        else:
            self._write(path, "cpu", "cpu.cfs_period_us", str(period))
            self._write(path, "cpu", "cpu.cfs_quota_us", str(quota or -1))
            self._write(path, "memory", "memory.limit_in_bytes", str(memory or -1))
        if self._pod_pids > 0:
            self._write_pids(path, self._pod_pids)

    def remove(self, pod_uid: str) -> None:
        """Remove the cgroup of a pod of whatever class, when nothing runs in it any more."""
        with metrics.CGROUP_SECONDS.timed(("destroy",)):
            for folder in self._class_folders():
                path = folder / f"pod{pod_uid}"
                if path.is_dir():
                    _remove_tree(path)

    def pods(self) -> set[str]:
        """Uids of pods that have a cgroup, if only in one hierarchy: a removal may have stopped half way."""
        return {
            path.name.removeprefix("pod")
            for folder in self._class_folders()
            for path in folder.glob("pod*")
            if path.is_dir()
        }

    def _class_folders(self) -> list[Path]:
        """Where cgroups of pods may lie.

        Beside the controllers of v1 there may be a hierarchy of v2 without any: runc makes directories there, too.
        """
        return [
            hierarchy / self._base.lstrip("/") / directory
            for hierarchy in [*self._hierarchies, self._mount / "unified"]
            for directory in QOS_DIRECTORY.values()
        ]

    @cached_property
    def _hierarchies(self) -> list[Path]:
        """One of v2, one for each controller of v1: they are mounted before a kubelet comes."""
        if self.is_v2:
            return [self._mount]
        found = [
            self._mount / name for name in V1_CONTROLLERS if (self._mount / name / "cgroup.procs").exists()
        ]
        return found or [self._mount]

    def _make(self, path: str) -> None:
        for hierarchy in self._hierarchies:
            if not os.path.isdir(f"{hierarchy}/{path.strip('/')}"):
                self._make_in(hierarchy, hierarchy / path.strip("/"))

    def _make_in(self, hierarchy: Path, place: Path) -> None:
        """Make a cgroup and those above it. One that is there has been handed its controllers before."""
        if place.parent != hierarchy and not place.parent.is_dir():
            self._make_in(hierarchy, place.parent)
        if self.is_v2:
            _delegate(place.parent)
        place.mkdir(exist_ok=True)
        if hierarchy.name == "cpuset":
            _inherit_cpuset(place.parent, place)

    def _write_shares(self, path: str, shares: int) -> None:
        if self.is_v2:
            self._write(path, "", "cpu.weight", str(limits.cpu_weight(shares)))
        else:
            self._write(path, "cpu", "cpu.shares", str(shares))

    def _write_memory(self, path: str, most: int) -> None:
        if self.is_v2:
            self._write(path, "", "memory.max", str(most))
        else:
            self._write(path, "memory", "memory.limit_in_bytes", str(most))

    def _write_pids(self, path: str, most: int) -> None:
        self._write(path, "" if self.is_v2 else "pids", "pids.max", str(most))

    def _write(self, path: str, controller: str, file: str, text: str) -> None:
        target = f"{self._mount}/{controller}/{path.lstrip('/')}/{file}"
        try:
            with open(target, "w") as opened:
                opened.write(text)
        except OSError as error:
            log.debug("%s not written to %s: %s", text, target, error)


def _delegate(place: Path) -> None:
    """cgroup v2: children get a controller only if the parent hands it down."""
    for controller in V2_CONTROLLERS:
        with contextlib.suppress(OSError):
            (place / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """cgroup v1: an empty cpuset accepts no process."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        with contextlib.suppress(OSError):
            (child / file).write_text((parent / file).read_text())


def _remove_tree(path: Path) -> None:
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            Path(directory).rmdir()
        except OSError as error:
            log.debug("cgroup %s not removed: %s", directory, error)
