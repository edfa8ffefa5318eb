"""The CSINode object of this node: its drivers, how they name the node, how many volumes it takes, where it lies.

The Node gets an annotation with the drivers' names for it, and a label for each part of its place.
"""

from __future__ import annotations

import asyncio

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, annotations_of, labels_of, spec_of, uid_of
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.plugins.watcher import RegistrationError
from kubelet.volumes.csi.node_client import NodeInfo

log = logging.get(__name__)

NODE_IDS = "csi.volume.kubernetes.io/nodeid"
MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"
# Kinds of volumes that once were built in and that CSI drivers serve now.
MIGRATED_PLUGINS = (
    "kubernetes.io/aws-ebs,kubernetes.io/azure-disk,kubernetes.io/azure-file,kubernetes.io/cinder,"
    "kubernetes.io/gce-pd,kubernetes.io/portworx-volume,kubernetes.io/vsphere-volume"
)
RETRIES = 10
RETRY = 1.0  # seconds


class CSINodeKeeper:
    """The only writer of this node's CSINode."""

    def __init__(self, client: Client, node: str, clock: Clock) -> None:
        self._csi_nodes = client.resource("storage.k8s.io/v1", "csinodes")
        self._nodes = client.resource("v1", "nodes")
        self._node = node
        self._clock = clock
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Make the object when the kubelet starts, as soon as the API server lets it."""
        while True:
            try:
                async with self._lock:
                    await self._present()
                return
            except (errors.StatusError, OSError, TimeoutError) as error:
                log.info("CSINode not made yet: %s", error)
            await self._clock.sleep(RETRY)

    async def install(self, driver: str, info: NodeInfo) -> None:
        """Say that the driver serves here. Raises StatusError, OSError or RegistrationError."""
        async with self._lock:
            await self._tell_node(driver, info)
            entry: Object = {"name": driver, "nodeID": info.node_id, "topologyKeys": sorted(info.topology)}
            if info.max_volumes > 0:
                entry["allocatable"] = {"count": min(info.max_volumes, 2**31 - 1)}
            await self._update(driver, entry)

    async def uninstall(self, driver: str) -> None:
        """Say that the driver serves no more. Raises StatusError or OSError."""
        async with self._lock:
            await self._update(driver, None)
            await self._tell_node(driver, None)

    async def _present(self) -> Object:
        try:
            found = await self._csi_nodes.get(self._node)
        except errors.NotFound:
            node = await self._nodes.get(self._node)
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": uid_of(node)}
            fresh: Object = {
                "apiVersion": "storage.k8s.io/v1",
                "kind": "CSINode",
                "metadata": {
                    "name": self._node,
                    "annotations": {MIGRATED: MIGRATED_PLUGINS},
                    "ownerReferences": [owner],
                },
                "spec": {"drivers": []},
            }
            return await self._csi_nodes.create(fresh)
        if annotations_of(found).get(MIGRATED) != MIGRATED_PLUGINS:
            change = {"metadata": {"annotations": {MIGRATED: MIGRATED_PLUGINS}}}
            found = await self._csi_nodes.patch(self._node, change)
        return found

    async def _update(self, driver: str, entry: Object | None) -> None:
        for attempt in range(RETRIES):
            found = await self._present()
            before = spec_of(found).get("drivers") or []
            after = [one for one in before if one["name"] != driver] + ([entry] if entry else [])
            if entry in before or after == before:
                return
            try:
                await self._csi_nodes.update({**found, "spec": {**spec_of(found), "drivers": after}})
                return
            except errors.Conflict:
                if attempt == RETRIES - 1:
                    raise

    async def _tell_node(self, driver: str, info: NodeInfo | None) -> None:
        """The node's annotation and labels; a label is never changed: the node would have moved."""
        node = await self._nodes.get(self._node)
        known = annotations_of(node).get(NODE_IDS)
        ids = orjson.loads(known) if known else {}
        if info is None:
            ids.pop(driver, None)
        else:
            ids[driver] = info.node_id
        labels = {}
        for key, value in (info.topology if info is not None else {}).items():
            present = labels_of(node).get(key)
            if present is not None and present != value:
                raise RegistrationError(
                    f'detected topology value collision: driver reported "{key}":"{value}" '
                    f'but existing label is "{key}":"{present}"'
                )
            if present is None:
                labels[key] = value
        text = orjson.dumps(ids, option=orjson.OPT_SORT_KEYS).decode() if ids else None
        change: Object = {"metadata": {}}
        if text != known:
            change["metadata"]["annotations"] = {NODE_IDS: text}
        if labels:
            change["metadata"]["labels"] = labels
        if change["metadata"]:
            await self._nodes.patch(self._node, change)
