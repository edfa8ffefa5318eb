"""What is left of the machine: memory, disks, process ids, as the eviction thresholds name them."""

from __future__ import annotations

from pathlib import Path

from kubelet.node import machine
from kubelet.resources import thresholds
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.thresholds import Observation


class Signals:
    """Looks when it is asked."""

    def __init__(
        self,
        root: Path,
        cgroups: Cgroups,
        memory: int,
        allocatable_memory: int,
    ) -> None:
        self._root = root
        self._cgroups = cgroups
        self._memory = memory
        self._allocatable_memory = allocatable_memory

    def look(self, image_root: str) -> dict[str, Observation]:
        """Everything at once. Where images lie on the node's own disk, that disk counts for both."""
        whole, free, inodes, free_inodes = machine.disk(str(self._root))
        image_whole, image_free, image_inodes, image_free_inodes = machine.disk(image_root or str(self._root))
        most, present = machine.processes()
        pods = self._allocatable_memory
        used = self._cgroups.working_set()
        found = {
            thresholds.MEMORY: Observation(machine.available_memory(), self._memory),
            thresholds.NODEFS: Observation(free, whole),
            thresholds.IMAGEFS: Observation(image_free, image_whole),
            thresholds.PID: Observation(most - present, most),
        }
        if inodes:  # some file systems do not count them
            found[thresholds.NODEFS_INODES] = Observation(free_inodes, inodes)
        if image_inodes:
            found[thresholds.IMAGEFS_INODES] = Observation(image_free_inodes, image_inodes)
        if used is not None:
            found[thresholds.ALLOCATABLE_MEMORY] = Observation(pods - used, pods)
        return found

    def has_own_image_disk(self, image_root: str) -> bool:
        """Do images and containers lie on another file system than the pods' volumes?"""
        try:
            return bool(image_root) and Path(image_root).stat().st_dev != self._root.stat().st_dev
        except OSError:
            return False
