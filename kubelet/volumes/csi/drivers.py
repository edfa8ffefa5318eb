"""Which drivers serve on this node: registered at their sockets, shown to the cluster in the CSINode object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, spec_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.plugin_socket import PluginError
from kubelet.plugins.watcher import RegistrationError
from kubelet.volumes.csi.csi_node import CSINodeKeeper
from kubelet.volumes.csi.node_client import NodeClient
from kubelet.volumes.plugin import VolumeError

log = logging.get(__name__)

PERIOD = 1.0  # seconds


class UnknownDriver(Exception):
    """No driver of this name serves here."""


class Drivers:
    """Handler of plugins of the kind `CSIPlugin`."""

    kind = "CSIPlugin"

    def __init__(self, keeper: CSINodeKeeper, facts: Callable[[str], Object | None], clock: Clock) -> None:
        self._keeper = keeper
        self._facts = facts
        self._clock = clock
        self._clients: dict[str, NodeClient] = {}

    def get(self, name: str) -> NodeClient:
        """A registered driver. Raises UnknownDriver."""
        if name not in self._clients:
            raise UnknownDriver(f"driver name {name} not found in the list of registered CSI drivers")
        return self._clients[name]

    def all(self) -> Iterable[NodeClient]:
        """Every registered driver."""
        return list(self._clients.values())

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """Ask the driver what this node is to it, and tell the cluster."""
        if not any(supports(version) for version in versions):
            raise RegistrationError(
                f"kubernetes.io/csi: validation failed for CSI Driver {name} at endpoint {endpoint}: "
                f"failed to find a supported version in {list(versions)}"
            )
        await self._forget(name)
        client = NodeClient(name, endpoint)
        try:
            info = await client.info()
            if not info.node_id:
                raise RegistrationError("error adding CSI driver node info: nodeID must not be empty")
            await self._keeper.install(name, info)
        except (errors.StatusError, OSError) as error:
            await client.close()
            raise RegistrationError(
                f"error updating CSINode object with CSI driver node info: {error}"
            ) from error
        except BaseException:
            await client.close()
            raise
        self._clients[name] = client

    async def deregister(self, name: str, endpoint: str) -> None:
        """The driver has gone: no volumes of it here any more."""
        client = self._clients.get(name)
        if client is None or client.endpoint != endpoint:
            return  # another instance has taken its place meanwhile
        await self._forget(name)
        try:
            await self._keeper.uninstall(name)
        except (errors.StatusError, OSError) as error:
            log.warning("CSI driver %s not taken out of the CSINode: %s", name, error)

    async def run(self) -> None:
        """Ask drivers that want it how many volumes they can take now (`nodeAllocatableUpdatePeriodSeconds`)."""
        asked: dict[str, float] = {}
        while True:
            await self._clock.sleep(PERIOD)
            now = self._clock.monotonic()
            for name, client in list(self._clients.items()):
                try:
                    period = spec_of(self._facts(name) or {}).get("nodeAllocatableUpdatePeriodSeconds")
                except VolumeError:
                    continue
                if not period or now - asked.setdefault(name, now) < period:
                    continue
                asked[name] = now
                try:
                    await self._keeper.install(name, await client.info())
                except (PluginError, RegistrationError, errors.StatusError, OSError) as error:
                    log.info("allocatable volumes of CSI driver %s not renewed: %s", name, error)

    async def _forget(self, name: str) -> None:
        client = self._clients.pop(name, None)
        if client is not None:
            await client.close()

    async def close(self) -> None:
        """Let go of all drivers; they stay registered."""
        for name in list(self._clients):
            await self._forget(name)


def supports(version: str) -> bool:
    """Every 1.x of the CSI."""
    return version.removeprefix("v").partition(".")[0] == "1"
