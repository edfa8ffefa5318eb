"""Calls of one driver's Node service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from kubarium.component_base import wire
from kubarium.component_base.plugin_socket import PluginError, PluginSocket

MESSAGES = wire.load(Path(__file__).with_name("csi.proto"))
SERVICE = "csi.v1.Node"

STAGE, STATS, EXPAND, CONDITION, MULTI_WRITER, MOUNT_GROUP = 1, 2, 3, 4, 5, 6
BYTES = 1


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """How the driver sees this node."""

    node_id: str
    max_volumes: int
    topology: Mapping[str, str]


class NodeClient:
    """A driver."""

    def __init__(self, name: str, endpoint: str) -> None:
        self.name = name
        self.endpoint = endpoint
        self._socket = PluginSocket(endpoint, MESSAGES, SERVICE)
        self._capabilities: frozenset[int] | None = None

    async def close(self) -> None:
        """Let go of the driver's socket."""
        await self._socket.close()

    async def info(self) -> NodeInfo:
        """What is this node to you?"""
        answer = await self._socket.call("NodeGetInfo", deadline=30)
        return NodeInfo(
            answer.node_id, answer.max_volumes_per_node, dict(answer.accessible_topology.segments)
        )

    async def can(self, capability: int) -> bool:
        """Does the driver offer this? It is asked once."""
        if self._capabilities is None:
            answer = await self._socket.call("NodeGetCapabilities", deadline=30)
            self._capabilities = frozenset(one.rpc.type for one in answer.capabilities)
        return capability in self._capabilities

    async def stage(self, **fields: Any) -> None:
        """Prepare a volume on this node, once for all pods."""
        await self._socket.call("NodeStageVolume", **fields)

    async def unstage(self, handle: str, path: str) -> None:
        """No pod here needs the volume any more."""
        await self._socket.call("NodeUnstageVolume", volume_id=handle, staging_target_path=path)

    async def publish(self, **fields: Any) -> None:
        """Show a volume to one pod."""
        await self._socket.call("NodePublishVolume", **fields)

    async def unpublish(self, handle: str, path: str) -> None:
        """The pod has ended."""
        await self._socket.call("NodeUnpublishVolume", volume_id=handle, target_path=path)

    async def expand(self, **fields: Any) -> int:
        """Let the file system grow to the size of the volume; returns the bytes it has then."""
        answer = await self._socket.call("NodeExpandVolume", **fields)
        return int(answer.capacity_bytes)

    async def stats(self, handle: str, path: str, staging: str) -> Any:
        """How full a volume is; None when the driver does not know it (any more)."""
        try:
            return await self._socket.call(
                "NodeGetVolumeStats",
                deadline=30,
                volume_id=handle,
                volume_path=path,
                staging_target_path=staging,
            )
        except PluginError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
