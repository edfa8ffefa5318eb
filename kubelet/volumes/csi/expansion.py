"""Online growth: the volume is larger already, now its file system on this node grows and the claim says so.

    claim.status.allocatedResourceStatuses.storage: NodeResizePending ──▶ NodeResizeInProgress ──▶ gone
Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc

from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, spec_of, status_of
from kubarium.component_base.plugin_socket import PluginError
from kubelet.volumes.csi.node_client import EXPAND, NodeClient
from kubelet.volumes.plugin import VolumeHost

RESIZING = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
INFEASIBLE = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.NOT_FOUND)


def is_due(claim: Object, persistent: Object) -> bool:
    """Is the volume larger than what the claim's user was told?"""
    wanted = (spec_of(persistent).get("capacity") or {}).get("storage")
    present = (status_of(claim).get("capacity") or {}).get("storage")
    statuses = status_of(claim).get("allocatedResourceStatuses") or {}
    if statuses.get("storage") == "NodeResizeInfeasible":
        return False
    if not wanted or not present:
        return False
    return quantity.value(wanted) > quantity.value(present)


async def expand(
    client: NodeClient,
    host: VolumeHost,
    volume: Object,
    handle: str,
    *,
    path: str,
    staging: str,
    capability: Mapping[str, Any],
    secrets: Mapping[str, str],
) -> None:
    """Let the driver do it, and write it down. Raises PluginError."""
    claim, size = volume["claim"], spec_of(volume["persistentVolume"])["capacity"]["storage"]
    if await client.can(EXPAND):
        await host.resized(claim, {"allocatedResourceStatuses": {"storage": "NodeResizeInProgress"}})
        try:
            await client.expand(
                volume_id=handle,
                volume_path=path,
                capacity_range={"required_bytes": quantity.value(size)},
                staging_target_path=staging,
                volume_capability=capability,
                secrets=secrets,
            )
        except PluginError as error:
            if error.code in INFEASIBLE:
                await host.resized(claim, {"allocatedResourceStatuses": {"storage": "NodeResizeInfeasible"}})
            raise
    await host.resized(claim, done(claim, size))


def done(claim: Object, size: str) -> Object:
    """The change of the claim's status when all is grown."""
    kept = [one for one in status_of(claim).get("conditions") or [] if one["type"] not in RESIZING]
    change: Object = {"capacity": {"storage": size}, "conditions": kept or None}
    if "storage" in (status_of(claim).get("allocatedResourceStatuses") or {"storage": ""}):
        change["allocatedResourceStatuses"] = {"storage": None}
    return change
