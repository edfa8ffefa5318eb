"""Drivers of the Dynamic Resource Allocation that serve on this node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubarium.component_base import wire
from kubarium.component_base.plugin_socket import PluginSocket
from kubelet.plugins.watcher import RegistrationError

MESSAGES = wire.load(Path(__file__).with_name("dra.proto"))
# What a driver says that it serves -> the full name of the service, the newest first.
SERVICES = {
    "v1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
    "v1beta1.DRAPlugin": "k8s.io.kubelet.pkg.apis.dra.v1beta1.DRAPlugin",
}


class UnknownDriver(Exception):
    """No driver of this name serves here."""


class Drivers:
    """Handler of plugins of the kind `DRAPlugin`."""

    kind = "DRAPlugin"

    def __init__(self) -> None:
        self._sockets: dict[str, PluginSocket] = {}

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """Take a driver in, by the newest service that it offers."""
        service = next((full for short, full in SERVICES.items() if short in versions), None)
        if service is None:
            raise RegistrationError(
                f"invalid versions of plugin {name}: none of the supported versions {list(SERVICES)} "
                f"in {list(versions)}"
            )
        await self._forget(name)
        self._sockets[name] = PluginSocket(endpoint, MESSAGES, service)

    async def deregister(self, name: str, endpoint: str) -> None:
        """The driver has gone."""
        found = self._sockets.get(name)
        if found is not None and found.endpoint == endpoint:
            await self._forget(name)

    async def _forget(self, name: str) -> None:
        found = self._sockets.pop(name, None)
        if found is not None:
            await found.close()

    async def call(self, driver: str, method: str, claim: dict[str, str]) -> Any:
        """One claim, one call; the answer for that claim. Raises UnknownDriver or PluginError."""
        socket = self._sockets.get(driver)
        if socket is None:
            raise UnknownDriver(f"DRA driver {driver} is not registered")
        answer = await socket.call(method, deadline=45, claims=[claim])
        return next((one.value for one in answer.claims if one.key == claim["uid"]), None)

    async def close(self) -> None:
        """Let go of all drivers."""
        for name in list(self._sockets):
            await self._forget(name)
