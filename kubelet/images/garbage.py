"""Frees the disk that images fill: above the high mark the least recently used go, until the low mark is reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet import metrics
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, Image, Runtime, rpc_text

log = logging.get(__name__)

PERIOD = 300.0  # seconds


class ImageGarbage:
    """Knows when each image was last used."""

    def __init__(
        self,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        node: Callable[[], Object],
        *,
        high_percent: int = 85,
        low_percent: int = 80,
        minimum_age: float = 120.0,
        maximum_age: float = 0.0,
        removed: Callable[[str], None] = lambda image_id: None,
        mounted: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._node = node
        self._high_percent = high_percent
        self._low_percent = low_percent
        self._minimum_age = minimum_age  # seconds for which a new image is left alone
        self._maximum_age = maximum_age  # seconds after which an unused one goes in any case; 0: never
        self._removed = removed
        self._mounted = mounted  # images that are volumes of pods
        self._first_seen: dict[str, float] = {}
        self._last_used: dict[str, float] = {}
        self._started = clock.monotonic()
        self.images: list[Image] = []

    async def run(self) -> None:
        """Look every five minutes."""
        failed = False
        while True:
            try:
                await self.look()
                await self.free_old()
                await self.free_if_full()
                failed = False
            except ContainerRuntimeError as error:
                log.info("images not looked after: %s", error)
                if failed:  # once may be the runtime's start
                    self._recorder.event(self._node(), "Warning", "ImageGCFailed", rpc_text(error))
                failed = True
            except Exception:
                log.exception("images not looked after")
            await self._clock.sleep(PERIOD)

    async def look(self) -> None:
        """Note which images are there and which are in use."""
        now = self._clock.monotonic()
        self.images = await self._runtime.list_images()
        used = {container.image for container in await self._runtime.list_containers()}
        used.add((await self._runtime.version()).sandbox_image)
        used.update(self._mounted())
        for image in self.images:
            self._first_seen.setdefault(image.id, now)
            if used.intersection((image.id, *image.tags, *image.digests)):
                self._last_used[image.id] = now
        present = {image.id for image in self.images}
        for table in (self._first_seen, self._last_used):
            for id in [id for id in table if id not in present]:
                del table[id]

    async def free_old(self) -> None:
        """Delete images that nobody has used for long. A kubelet that just started does not know for how long."""
        now = self._clock.monotonic()
        if not self._maximum_age or now - self._started <= self._maximum_age:
            return
        for image in self._unused(now):
            if now - self._last_used.get(image.id, self._first_seen[image.id]) > self._maximum_age:
                await self._remove(image, "age")

    async def free_all(self) -> None:
        """The disk is full: keep no image that no container uses, new ones included."""
        await self.look()
        for image in self._unused(self._clock.monotonic()):
            await self._remove(image, "space")

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
        if capacity == 0 or 100 - free * 100 // capacity < self._high_percent:
            return
        wanted = capacity * (100 - self._low_percent) // 100 - free
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
        freed = 0
        for image in self._unused(now):
            if freed >= wanted:
                break
            if now - self._first_seen[image.id] >= self._minimum_age and await self._remove(image, "space"):
                freed += image.size
        return freed

    def _unused(self, now: float) -> list[Image]:
        """Images that no container uses, the longest unused first; those that are pinned stay."""
        unused = [
            image
            for image in self.images
            if image.id not in self._last_used or self._last_used[image.id] < now - 1
            if not image.pinned
        ]
        return sorted(unused, key=lambda image: self._last_used.get(image.id, 0.0))

    async def _remove(self, image: Image, reason: str) -> bool:
        try:
            await self._runtime.remove_image(image.id)
        except ContainerRuntimeError as error:
            log.warning("image %s not removed: %s", image.id, error)
            return False
        log.info("image %s removed", image.tags or image.id)
        metrics.REMOVED_IMAGES.add((reason,))
        self._removed(image.id)
        return True
