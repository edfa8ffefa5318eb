"""nfs: mount an export of a server."""

from __future__ import annotations

from pathlib import Path

from kubarium.apimachinery.object import Object
from kubelet.volumes import measure, mounts, programs
from kubelet.volumes.plugin import Mounted, Plugin


class NFS(Plugin):
    """`nfs: {server, path, readOnly}`; the node's `mount` program does the work."""

    name = "nfs"

    def supports(self, volume: Object) -> bool:
        return volume.get("nfs") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        source = volume["nfs"]
        read_only = bool(source.get("readOnly"))
        directory.mkdir(parents=True, exist_ok=True)
        if mounts.is_mount_point(str(directory)):
            return Mounted(str(directory), read_only)
        options = [*(volume.get("mountOptions") or []), *(["ro"] if read_only else [])]
        await programs.mount("nfs", f"{source['server']}:{source['path']}", str(directory), options)
        return Mounted(str(directory), read_only)

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        return await measure.of_file_system(mounted.path) if mounted.path else None

    async def tear_down(self, directory: Path) -> None:
        mounts.unmount_below(str(directory))
        if directory.is_dir():
            directory.rmdir()
