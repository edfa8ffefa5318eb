"""hostPath: a path of the node as it is, after a look at what it is."""

from __future__ import annotations

import stat
from pathlib import Path

from kubarium.apimachinery.object import Object
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError

CHECKS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


class HostPath(Plugin):
    """`hostPath: {path, type}`, of a pod or of a persistent volume."""

    name = "host-path"

    def supports(self, volume: Object) -> bool:
        return volume.get("hostPath") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        source = volume["hostPath"]
        path, kind = Path(source["path"]), source.get("type") or ""
        try:
            _make(path, kind)
            _check(path, kind)
        except OSError as error:
            raise VolumeError(str(error)) from error
        return Mounted(str(path))

    async def tear_down(self, directory: Path) -> None:
        return None


def _make(path: Path, kind: str) -> None:
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    elif not kind and not path.exists():
        path.mkdir(parents=True, mode=0o755)  # the runtime would do the same


def _check(path: Path, kind: str) -> None:
    if not kind:
        return
    fits, noun = CHECKS[kind]
    if not path.exists() or not fits(path.stat().st_mode):
        raise VolumeError(f"hostPath type check failed: {path} is not a {noun}")
