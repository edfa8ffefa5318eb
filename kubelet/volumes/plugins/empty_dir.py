"""emptyDir: a directory that lives as long as the pod, on disk or in memory."""

from __future__ import annotations

import shutil
from pathlib import Path

from kubarium.api.core.pod import resources
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object
from kubelet.volumes import measure, mounts, ownership
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError


class EmptyDir(Plugin):
    """`emptyDir: {medium: "" | Memory, sizeLimit}`."""

    name = "empty-dir"

    def supports(self, volume: Object) -> bool:
        return volume.get("emptyDir") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        source, group = volume["emptyDir"], ownership.group_of(pod)
        is_fresh = not directory.exists()
        try:
            if is_fresh:
                directory.mkdir(parents=True)
                directory.chmod(0o777)
            if source.get("medium") == "Memory" and not mounts.is_mount_point(str(directory)):
                mounts.mount_in_memory(str(directory), _size(pod, source))
                is_fresh = True
            if is_fresh and group is not None:
                ownership.set_ownership(str(directory), group, read_only=False)
        except OSError as error:
            raise VolumeError(str(error)) from error
        return Mounted(str(directory))

    async def usage(self, pod: Object, volume: Object, mounted: Mounted) -> Object | None:
        if (volume.get("emptyDir") or {}).get("medium"):
            return await measure.of_file_system(mounted.path)
        return await measure.of_directory(mounted.path)

    async def tear_down(self, directory: Path) -> None:
        mounts.unmount_below(str(directory))
        shutil.rmtree(directory, ignore_errors=True)


def _size(pod: Object, source: Object) -> int | None:
    """A volume in memory may not be larger than what the pod may use."""
    sizes = [quantity.value(source["sizeLimit"])] if source.get("sizeLimit") else []
    limits = resources.limits_of(pod)
    containers = (pod.get("spec") or {}).get("containers") or []
    if all(((one.get("resources") or {}).get("limits") or {}).get("memory") for one in containers):
        sizes.append(limits["memory"])
    return min(sizes, default=None)
