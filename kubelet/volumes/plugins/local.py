"""local: a directory or a device of this node that the cluster knows as a persistent volume."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from kubarium.apimachinery.object import Object, spec_of
from kubelet.volumes import measure, ownership
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError

OPENING = "MountVolume.NewMounter initialization"
MAPPING = "MapVolume.MapPodDevice"


class Local(Plugin):
    """`local: {path}` of a persistent volume."""

    name = "local-volume"

    def __init__(self) -> None:
        self._owned: set[Path] = set()

    def supports(self, volume: Object) -> bool:
        return volume.get("local") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        path = Path(volume["local"]["path"])
        read_only = bool(volume.get("readOnly"))
        try:
            mode = path.stat().st_mode
        except OSError as error:
            raise VolumeError(f'path "{path}" does not exist', OPENING) from error
        if spec_of(volume["persistentVolume"]).get("volumeMode") == "Block":
            if not stat.S_ISBLK(mode):
                raise VolumeError(f"{path} is not a block device", MAPPING)
            return Mounted(read_only=read_only, device=str(path.resolve()))
        if not stat.S_ISDIR(mode):
            raise VolumeError(f'path "{path}" is not a directory', OPENING)
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        group = ownership.group_of(pod)
        if group is not None and not read_only and directory not in self._owned:
            try:
                await asyncio.to_thread(ownership.give_to_group, pod, str(path), group)
            except OSError as error:
                raise VolumeError(str(error)) from error
            self._owned.add(directory)
        return Mounted(str(path), read_only)

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        return await measure.of_file_system(mounted.path) if mounted.path else None

    async def tear_down(self, directory: Path) -> None:
        self._owned.discard(directory)
        if directory.is_dir():
            directory.rmdir()
