"""A node can have so many volumes of a driver attached, as its CSINode says."""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.volume_binding import class_of
from kubarium.apimachinery.object import Object
from scheduler.framework import claims
from scheduler.framework.interface import (
    SKIP,
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PreFilterPlugin,
    Refusal,
    Status,
)
from scheduler.framework.node_info import NodeInfo
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON = "node(s) exceed max volume count"

Volume = tuple[str, str]
"""A driver, and what tells its volumes apart: the handle, or the claim while there is no volume yet."""


class NodeVolumeLimits(PreFilterPlugin, FilterPlugin):
    """Rules out nodes where the pod's volumes would be too many for a driver."""

    name = "NodeVolumeLimits"
    depends_on_pods = True

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        informers = handle.informers
        self._claims = informers.informer("v1", "persistentvolumeclaims").lister
        self._volumes = informers.informer("v1", "persistentvolumes").lister
        self._classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister
        self._csi_nodes = informers.informer("storage.k8s.io/v1", "csinodes").lister

    def events(self) -> list[EventHint]:
        return [
            EventHint("CSINode", Action.ADD | Action.UPDATE),
            EventHint("AssignedPod", Action.DELETE),
            EventHint("PersistentVolumeClaim", Action.ADD),
            EventHint("VolumeAttachment", Action.DELETE),
        ]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        wanted = self._volumes_of(pod) if pod.volumes else set()
        if not wanted:
            return SKIP
        state.data[self.name] = wanted
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        wanted: set[Volume] = state.data[self.name]
        drivers = {driver for driver, _ in wanted}
        full = []
        for csi_node in self._csi_nodes.list():
            info = nodes.info(csi_node["metadata"]["name"])
            limits = _limits(csi_node, drivers)
            if info is not None and limits and self._would_exceed(info, wanted, limits):
                full.append(info.index)
        if full:
            yield Refusal(nodes.mask_of(full), REASON)

    def _would_exceed(self, info: NodeInfo, wanted: set[Volume], limits: dict[str, int]) -> bool:
        there = {volume for pod in info.pods.values() if pod.volumes for volume in self._volumes_of(pod)}
        new = wanted - there
        for driver, limit in limits.items():
            more = sum(1 for name, _ in new if name == driver)
            if more and more + sum(1 for name, _ in there if name == driver) > limit:
                return True
        return False

    def _volumes_of(self, pod: PodInfo) -> set[Volume]:
        found = (self._volume_of(pod.namespace, name) for name in claims.claim_names(pod))
        inline = {
            (volume["csi"]["driver"], f"{pod.uid}/{volume['name']}")
            for volume in pod.volumes
            if "csi" in volume
        }
        return {volume for volume in found if volume is not None} | inline

    def _volume_of(self, namespace: str, name: str) -> Volume | None:
        claim = self._claims.get(namespace, name)
        if claim is None:
            return None
        volume = self._volumes.get("", (claim.get("spec") or {}).get("volumeName") or "")
        if volume is not None:
            csi = (volume.get("spec") or {}).get("csi")
            return (csi["driver"], csi["volumeHandle"]) if csi else None
        storage_class = self._classes.get("", class_of(claim))
        if storage_class is None:
            return None
        return storage_class.get("provisioner") or "", f"{namespace}/{name}"


def _limits(csi_node: Object, drivers: set[str]) -> dict[str, int]:
    return {
        driver["name"]: driver["allocatable"]["count"]
        for driver in (csi_node.get("spec") or {}).get("drivers") or ()
        if driver["name"] in drivers and (driver.get("allocatable") or {}).get("count") is not None
    }
