"""The volume's zone is the pod's zone: for volumes that carry zone labels and no node affinity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kubarium.apimachinery.labels import Requirement
from kubarium.apimachinery.object import Object, labels_of
from scheduler.framework import claims, node_selection
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

REASON = "node(s) had no available volume zone"

TOPOLOGY_LABELS = (
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
)


class VolumeZone(PreFilterPlugin, FilterPlugin):
    """Rules out nodes whose zone or region label differs from that of a bound volume."""

    name = "VolumeZone"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        informers = handle.informers
        self._claims = informers.informer("v1", "persistentvolumeclaims").lister
        self._volumes = informers.informer("v1", "persistentvolumes").lister

    def events(self) -> list[EventHint]:
        return [
            EventHint("StorageClass", Action.ADD),
            EventHint("Node", Action.ADD | Action.NODE_LABEL),
            EventHint("PersistentVolumeClaim", Action.ADD | Action.UPDATE),
            EventHint("PersistentVolume", Action.ADD | Action.UPDATE),
        ]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if not pod.volumes:
            return SKIP
        wanted = []
        for name in claims.claim_names(pod):
            claim = self._claims.get(pod.namespace, name)
            if claim is None:
                continue  # VolumeBinding says what is missing and who is to make it
            volume = self._volumes.get("", (claim.get("spec") or {}).get("volumeName") or "")
            if volume is not None:
                wanted += [(key, value) for key, value in labels_of(volume).items() if key in TOPOLOGY_LABELS]
        if not wanted:
            return SKIP
        state.data[self.name] = wanted
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        elsewhere = np.zeros(nodes.length, dtype=np.bool_)
        zoned = np.zeros(nodes.length, dtype=np.bool_)
        for key in TOPOLOGY_LABELS:
            zoned |= nodes.label(key).values >= 0
        for key, value in state.data[self.name]:
            zones = tuple(value.split("__"))  # a volume that is in several zones lists them so
            elsewhere |= ~node_selection.requirement_mask(Requirement(key, "in", zones), nodes)
        # A node without any of these labels belongs to a cluster without zones.
        yield Refusal(elsewhere & zoned, REASON, resolvable=False)
