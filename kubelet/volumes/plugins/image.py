"""image: the files of an image, read-only."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from kubarium.apimachinery.object import Object
from kubarium.component_base.metrics import Counts
from kubelet.runtime.interface import ImageView
from kubelet.volumes import mounts
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError

REQUESTED = Counts("kubelet_image_volume_requested_total", "Number of requested image volumes.", ())
MOUNTED = Counts(
    "kubelet_image_volume_mounted_succeed_total", "Number of successful image volume mounts.", ()
)
FAILED = Counts("kubelet_image_volume_mounted_errors_total", "Number of failed image volume mounts.", ())


class ImageVolume(Plugin):
    """`image: {reference, pullPolicy}`; the image is pulled when a container that mounts it is about to start."""

    name = "image"

    def __init__(
        self,
        view: Callable[[str, str], Awaitable[ImageView | None]],
        give_back: Callable[[str], Awaitable[None]],
    ) -> None:
        self._view = view
        self._give_back = give_back

    def supports(self, volume: Object) -> bool:
        return volume.get("image") is not None

    async def set_up(self, pod: Object, volume: Object, directory: Path) -> Mounted:
        """Nothing until the image is there (`pulled`)."""
        return Mounted(read_only=True, image=volume["image"].get("reference") or "")

    async def pulled(self, image: str, directory: Path) -> Mounted:
        """Lay the files of an image that is on the node onto a directory, unless the runtime will. Raises VolumeError.

        Another image under the same name gets another directory: containers that run keep the files they have.
        """
        REQUESTED.add()
        try:
            found = await self._laid(image, directory)
        except VolumeError:
            FAILED.add()
            raise
        MOUNTED.add()
        return found

    async def _laid(self, image: str, directory: Path) -> Mounted:
        place = directory / hashlib.sha256(image.encode()).hexdigest()[:16]
        view = await self._view(image, str(place))
        if view is None:
            return Mounted(read_only=True, image=image, mappable=False)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if not mounts.is_mount_point(str(place)):
                mounts.mount_with(view.kind, view.source, str(place), view.options)
        except OSError as error:
            raise VolumeError(str(error)) from error
        return Mounted(str(place), read_only=True, mappable=False)  # an overlay mount cannot be mapped

    async def tear_down(self, directory: Path) -> None:
        for place in directory.iterdir():
            mounts.unmount_below(str(place))
            await self._give_back(str(place))
            place.rmdir()
        directory.rmdir()
