"""Frees the disk that images fill: above the high mark the least recently used go, until the low mark is reached."""

from __future__ import annotations

import os
from collections.abc import Callable

from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, Image, Runtime

log = logging.get(__name__)

HIGH_PERCENT = 85
LOW_PERCENT = 80
MINIMUM_AGE = 120.0  # seconds for which a new image is left alone
PERIOD = 300.0


class ImageGarbage:
    """Knows when each image was last used."""

    def __init__(
        self, runtime: Runtime, recorder: Recorder, clock: Clock, node: Callable[[], Object]
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._node = node
        self._first_seen: dict[str, float] = {}
        self._last_used: dict[str, float] = {}
        self.images: list[Image] = []

    async def run(self) -> None:
        """Look every five minutes."""
        while True:
            try:
                await self.look()
                await self.free_if_full()
            except ContainerRuntimeError as error:
                log.info("images not looked after: %s", error)
            except Exception:
                log.exception("images not looked after")
            await self._clock.sleep(PERIOD)

    async def look(self) -> None:
        """Note which images are there and which are in use."""
        now = self._clock.monotonic()
        self.images = await self._runtime.list_images()
        used = {container.image for container in await self._runtime.list_containers()}
        for image in self.images:
            self._first_seen.setdefault(image.id, now)
            if used.intersection((image.id, *image.tags, *image.digests)):
                self._last_used[image.id] = now
        present = {image.id for image in self.images}
        for table in (self._first_seen, self._last_used):
            for id in [id for id in table if id not in present]:
                del table[id]

    async def free_if_full(self) -> None:
        """Delete unused images when the disk is fuller than the high mark."""
        place, _, _ = await self._runtime.image_filesystem()
        if not place:
            return
        try:
            disk = os.statvfs(place)
        except OSError:
            return
        capacity, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
        if capacity == 0 or 100 - free * 100 // capacity < HIGH_PERCENT:
            return
        wanted = capacity * (100 - LOW_PERCENT) // 100 - free
        freed = await self.delete_unused(wanted)
        if freed < wanted:
            text = (
                f"Failed to garbage collect required amount of images. Attempted to free {wanted} bytes, "
                f"but only found {freed} bytes eligible to free."
            )
            self._recorder.event(self._node(), "Warning", "FreeDiskSpaceFailed", text)

    async def delete_unused(self, wanted: int) -> int:
        """Delete images that no container uses, the longest unused first; returns the bytes freed."""
        now = self._clock.monotonic()
        unused = [
            image
            for image in self.images
            if self._last_used.get(image.id, 0.0) < now - 1
            and now - self._first_seen[image.id] >= MINIMUM_AGE
            if not image.pinned
        ]
        unused.sort(key=lambda image: self._last_used.get(image.id, 0.0))
        freed = 0
        for image in unused:
            if freed >= wanted:
                break
            try:
                await self._runtime.remove_image(image.id)
                freed += image.size
                log.info("image %s removed", image.tags or image.id)
            except ContainerRuntimeError as error:
                log.warning("image %s not removed: %s", image.id, error)
        return freed
