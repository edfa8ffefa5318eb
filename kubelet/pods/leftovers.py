"""What pods that are gone have left on the node: dead containers and sandboxes, logs, directories, cgroups."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.devices.claims import NotPrepared
from kubelet.devices.devices import Devices
from kubelet.resources.cgroups import Cgroups
from kubelet.runtime import garbage
from kubelet.runtime.interface import ContainerRuntimeError, Runtime
from kubelet.volumes.manager import VolumeManager
from kubelet.volumes.plugin import VolumeError

log = logging.get(__name__)

PERIOD = 60  # seconds between looks when no pod has gone
SOON = 10  # seconds from the start to the first look
RETRY = 5  # seconds to the next look when the runtime or the disk refuses


class Leftovers:
    """Clears up at once after a pod that is reported gone, and looks for the rest every minute."""

    def __init__(
        self,
        runtime: Runtime,
        volumes: VolumeManager,
        cgroups: Cgroups,
        devices: Devices,
        clock: Clock,
        *,
        logs: Path,
        is_gone: Callable[[str], bool],
        running: Callable[[], set[str]],
        may_look: Callable[[], bool],
        forget: Callable[[str], None],
    ) -> None:
        self._runtime = runtime
        self._volumes = volumes
        self._cgroups = cgroups
        self._devices = devices
        self._clock = clock
        self._logs = logs
        self._is_gone = is_gone
        self._running = running
        self._may_look = may_look  # not before it is known which pods there should be
        self._forget = forget
        self._gone: set[str] = set()
        self._wait = (
            SOON  # seconds to the next look; not long at the start: who died before may have left something
        )

    def add(self, pod_uid: str) -> None:
        """This pod is gone."""
        self._gone.add(pod_uid)
        self._wait = 0

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._clock.sleep(1.0)
            self._wait -= 1
            if self._wait > 0 or not self._may_look():
                continue
            gone, self._gone, self._wait = self._gone, set(), PERIOD
            for uid in gone:
                self._forget(uid)
            try:
                await self.collect()
            except (ContainerRuntimeError, OSError) as error:
                log.info("garbage not collected: %s", error)
                self._wait = RETRY
            except Exception:
                log.exception("garbage not collected")

    async def collect(self) -> None:
        """One look."""
        await garbage.collect(self._runtime, self._is_gone, self._logs)
        running = self._running()
        for uid in {*self._volumes.pods_on_disk(), *self._cgroups.pods(), *self._devices.pods()}:
            if self._is_gone(uid) and uid not in running:
                try:
                    await self._volumes.tear_down(uid)
                    await self._devices.release(uid)
                except (VolumeError, NotPrepared) as error:
                    log.info("volumes and devices of pod %s are still there: %s", uid, error)
                    continue
                self._cgroups.remove(uid)
        await self._volumes.clear()
        for directory in self._logs.glob("*_*_*"):  # a kubelet that died meanwhile could not remove them
            uid = directory.name.rpartition("_")[2]
            if self._is_gone(uid) and uid not in running:
                await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)

    async def free_disk(self) -> None:
        """The disk is full: keep no dead container, not even the newest."""
        await garbage.collect(self._runtime, self._is_gone, self._logs, keep=0)
