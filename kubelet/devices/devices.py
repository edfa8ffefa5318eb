"""Builds all that has to do with devices, and names its tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock
from kubelet.devices import cdi, edits
from kubelet.devices.claims import ClaimManager
from kubelet.devices.drivers import Drivers
from kubelet.devices.edits import Edits
from kubelet.devices.manager import DeviceManager
from kubelet.devices.plugins import DevicePlugins
from kubelet.devices.pod_resources import PodResources
from kubelet.plugins.watcher import Handler

Fetch = Callable[[str, str, str], Awaitable[Object | None]]


class Devices:
    """Device plugins and DRA drivers, and what pods have of them."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        fetch: Fetch,
        changed: Callable[[], None],
        pods: Callable[[], list[Object]],
        active: Callable[[], Iterable[str] | None],
        runtime_knows_cdi: Callable[[], bool],
    ) -> None:
        folder = root / "device-plugins"
        self.plugins = DevicePlugins(folder, clock, changed)
        self._drivers = Drivers()
        self._given = DeviceManager(self.plugins, folder, active)
        self._claims = ClaimManager(self._drivers, fetch, root)
        self._socket = PodResources(root / "pod-resources", self.plugins, self._given, self._claims, pods)
        self._runtime_knows_cdi = runtime_knows_cdi
        self.health = self._given.health

    def handlers(self) -> dict[str, Handler]:
        """For sockets in plugins_registry."""
        return {DevicePlugins.kind: self.plugins, Drivers.kind: self._drivers}

    def tasks(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the pods."""
        return {"device plugins": self.plugins.run(), "pod resources": self._socket.run()}

    async def allocate(self, pod: Object) -> None:
        """Give the pod its devices, have its claims prepared. Raises Unexpected or NotPrepared."""
        await self._given.allocate(pod)
        await self._claims.prepare(pod)

    async def prepare(self, pod: Object, container: Object) -> Edits:
        """What a container that starts must be given. Raises PluginError or UnknownDevice."""
        found = await self._given.prepare(pod, container)
        names = [*found.cdi, *self._claims.cdi_devices(pod, container)]
        if self._runtime_knows_cdi():
            return edits.merged([found, Edits(cdi=tuple(names))])
        plain = Edits(found.environment, found.mounts, found.devices, found.annotations)
        return edits.merged([plain, cdi.resolve(names)])

    async def release(self, pod_uid: str) -> None:
        """The pod has ended. Raises NotPrepared."""
        await self._claims.release(pod_uid)
        self._given.forget(pod_uid)

    def pods(self) -> set[str]:
        """Who has devices."""
        return self._given.pods() | self._claims.pods()

    async def close(self) -> None:
        """Let go of all plugins; they stay where they are."""
        await self._drivers.close()
