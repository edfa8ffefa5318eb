"""One writer only: disks that cannot be mounted twice, and claims that one pod has for itself."""

from __future__ import annotations

from collections.abc import Iterator

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
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON_DISK = "node(s) had no available disk"
REASON_ONE_POD = (
    "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
)

DISKS = {
    # volume source -> the fields that name the disk
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "iscsi": ("iqn", "lun", "targetPortal"),
    "rbd": ("monitors", "pool", "image"),
}
MAY_SHARE_READ_ONLY = ("gcePersistentDisk", "iscsi", "rbd")


class VolumeRestrictions(PreFilterPlugin, FilterPlugin):
    """Rules out nodes where a disk of the pod is mounted, or another pod holds its ReadWriteOncePod claim."""

    name = "VolumeRestrictions"
    depends_on_pods = True

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._claims = handle.informers.informer("v1", "persistentvolumeclaims").lister

    def events(self) -> list[EventHint]:
        return [
            EventHint("AssignedPod", Action.DELETE, _shares_volume),
            EventHint("Node", Action.ADD),
            EventHint("PersistentVolumeClaim", Action.ADD | Action.UPDATE),
        ]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if not pod.volumes:
            return SKIP
        lonely = []
        for name in claims.claim_names(pod):
            claim = self._claims.get(pod.namespace, name)
            if claim is None:
                continue  # VolumeBinding says what is missing and who is to make it
            if "ReadWriteOncePod" in ((claim.get("spec") or {}).get("accessModes") or ()):
                lonely.append(name)
        disks = [volume for volume in pod.volumes if any(kind in volume for kind in DISKS)]
        if not lonely and not disks:
            return SKIP
        state.data[self.name] = (lonely, disks)
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        lonely, disks = state.data[self.name]
        mounted: set[int] = set()
        for disk in disks:
            mounted.update(_nodes_with(disk, nodes))
        if mounted:
            yield Refusal(nodes.mask_of(list(mounted)), REASON_DISK)
        holders = {place for name in lonely for place in nodes.claims.get((pod.namespace, name), ())}
        if holders - mounted:
            yield Refusal(nodes.mask_of(list(holders - mounted)), REASON_ONE_POD)


def _nodes_with(disk: Object, nodes: Nodes) -> Iterator[int]:
    for info in nodes.infos:
        if info is None:
            continue
        others = (volume for other in info.pods.values() for volume in other.volumes)
        if any(_collide(disk, other) for other in others):
            yield info.index


def _collide(one: Object, other: Object) -> bool:
    for kind, fields in DISKS.items():
        mine, theirs = one.get(kind), other.get(kind)
        if mine and theirs and all(mine.get(field) == theirs.get(field) for field in fields):
            return not (kind in MAY_SHARE_READ_ONLY and mine.get("readOnly") and theirs.get("readOnly"))
    return False


def _shares_volume(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    """Did the pod that went hold a claim or a disk that the waiting one wants?"""
    gone = PodInfo(old or {"metadata": {"name": ""}})
    if gone.namespace == pod.namespace and set(claims.claim_names(gone)) & set(claims.claim_names(pod)):
        return True
    return any(_collide(mine, theirs) for mine in pod.volumes for theirs in gone.volumes)
