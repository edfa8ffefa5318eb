"""local: a directory or a device of this node that the cluster knows as a persistent volume.

A device that is wanted as a file system is mounted once for all pods:
    <root>/plugins/kubernetes.io/local-volume/mounts/<volume>
"""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections import defaultdict
from pathlib import Path

from kubarium.apimachinery.object import Object, spec_of
from kubelet.volumes import measure, mounts, ownership, programs
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError

OPENING = "MountVolume.NewMounter initialization"
MAPPING = "MapVolume.MapPodDevice"
DEVICE = "MountVolume.MountDevice"
DEFAULT_KIND = "ext4"


class Local(Plugin):
    """`local: {path, fsType}` of a persistent volume."""

    name = "local-volume"

    def __init__(self, root: Path) -> None:
        self._pods = root / "pods"
        self._mounts = root / "plugins" / "kubernetes.io" / self.name / "mounts"
        self._owned: set[Path] = set()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def supports(self, volume: Object) -> bool:
        return volume.get("local") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        path = Path(volume["local"]["path"])
        read_only = bool(volume.get("readOnly"))
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise VolumeError(f'path "{path}" does not exist', OPENING) from error
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        if spec_of(volume["persistentVolume"]).get("volumeMode") == "Block":
            if not stat.S_ISBLK(mode):
                raise VolumeError(f"{path} is not a block device", MAPPING)
            return Mounted(read_only=read_only, device=str(path.resolve()))
        if stat.S_ISBLK(mode):
            path = await self._mounted(volume, path)
        elif not stat.S_ISDIR(mode):
            raise VolumeError(f'path "{path}" is not a directory', OPENING)
        group = ownership.group_of(pod)
        if group is not None and not read_only and directory not in self._owned:
            try:
                await asyncio.to_thread(ownership.give_to_group, pod, str(path), group)
            except OSError as error:
                raise VolumeError(str(error)) from error
            self._owned.add(directory)
        return Mounted(str(path), read_only)

    async def _mounted(self, volume: Object, device: Path) -> Path:
        place = self._mounts / str(volume["name"])
        async with self._locks[volume["name"]]:
            if not mounts.is_mount_point(str(place)):
                place.mkdir(parents=True, exist_ok=True, mode=0o750)
                kind = volume["local"].get("fsType") or DEFAULT_KIND
                try:
                    await programs.format_and_mount(
                        str(device.resolve()), str(place), kind, volume.get("mountOptions") or []
                    )
                except (VolumeError, OSError) as error:
                    raise VolumeError(str(error), DEVICE) from error
        return place

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        return await measure.of_file_system(mounted.path) if mounted.path else None

    async def tear_down(self, directory: Path) -> None:
        self._owned.discard(directory)
        if directory.is_dir():
            directory.rmdir()
        await self._let_go(directory.name)

    async def clear(self) -> None:
        """Unmount devices that no pod has any more."""
        for place in self._mounts.glob("*"):
            await self._let_go(place.name)

    async def _let_go(self, name: str) -> None:
        place = self._mounts / name
        async with self._locks[name]:
            if place.is_dir() and not any(self._pods.glob(f"*/volumes/kubernetes.io~{self.name}/{name}")):
                mounts.unmount_below(str(place))
                with contextlib.suppress(OSError):
                    place.rmdir()
