"""What volumes may ask of the kubelet, gathered from its parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informer
from kubelet.volumes.plugin import VolumeError
from kubelet.volumes.watched_objects import TokenManager, WatchedObjects


class Host:
    """`VolumeHost` of a running kubelet."""

    def __init__(
        self,
        *,
        objects: WatchedObjects,
        tokens: TokenManager,
        drivers: Informer,
        node: Callable[[], Object],
        told_in_use: Callable[[Sequence[str]], Awaitable[None]],
        in_use_changed: Callable[[], None],
        allocatable: Callable[[], Mapping[str, Any]],
        host_ips: Callable[[], Sequence[str]],
    ) -> None:
        self._objects = objects
        self._tokens = tokens
        self._drivers = drivers
        self.node = node
        self._told_in_use = told_in_use
        self.in_use_changed = in_use_changed
        self.allocatable = allocatable
        self.host_ips = host_ips

    async def fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object."""
        return await self._objects.fetch(kind, namespace, name)

    async def attachment(self, name: str) -> Object | None:
        """A VolumeAttachment as it is now."""
        return await self._objects.fresh("VolumeAttachment", "", name)

    async def resized(self, claim: Object, status: Object) -> None:
        """Write into a claim's status how large its volume is."""
        await self._objects.resized(claim, status)

    async def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A token of the pod's service account."""
        return await self._tokens.token(pod, audience, seconds)

    async def token_status(self, pod: Object, audience: str, seconds: int) -> Object:
        """The same with the time when it expires."""
        return await self._tokens.status(pod, audience, seconds)

    async def told_in_use(self, volumes: Sequence[str]) -> None:
        """Returns when the node's status lists these volumes."""
        await self._told_in_use(volumes)

    def csi_driver(self, name: str) -> Object | None:
        """What the cluster was told of a driver."""
        if not self._drivers.has_synced:
            raise VolumeError("CSIDrivers has not been synced yet")
        return self._drivers.lister.get("", name)
