"""VolumeAttachments for scheduled pods: a CSI volume is attached to a node before the first pod there can use it.

    pods with a node and a bound CSI claim  →  wanted (volume, node) pairs
    VolumeAttachments                       →  existing pairs
The difference is created and deleted; attachments that others made are left alone.
The driver's own attacher does the work and reports in the status.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from kubarium.api.core.pod import claims
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

ATTACHMENTS = ("storage.k8s.io/v1", "volumeattachments")
DRIVERS = ("storage.k8s.io/v1", "csidrivers")
OUR_NAMES = re.compile(r"csi-[0-9a-f]{64}")


class AttachDetachController(Controller):
    """Keys are nodes: one pass compares everything of one node."""

    name = "persistentvolume-attach-detach-controller"
    workers = 2

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        pods = informers.informer("v1", "pods")
        pods.add_index("node", lambda pod: [spec_of(pod).get("nodeName") or ""])
        self.pods = pods.lister
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.drivers = informers.informer(*DRIVERS).lister
        self.attachments = informers.informer(*ATTACHMENTS).lister
        self.resource = client.resource(*ATTACHMENTS)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_node_if_claiming),
            Watch("v1", "persistentvolumeclaims", keys=self._nodes_of_claim),
            Watch("v1", "persistentvolumes", keys=lambda volume: ()),
            Watch(*DRIVERS, keys=lambda driver: ()),
            Watch(*ATTACHMENTS, keys=_node_of),
        ]

    def _nodes_of_claim(self, claim: Object) -> Iterable[ObjectKey]:
        found = {
            spec_of(pod)["nodeName"]
            for pod in self.pods.list(namespace_of(claim))
            if spec_of(pod).get("nodeName") and name_of(claim) in claims.names_in(pod)
        }
        return [ObjectKey("", node) for node in found]

    async def reconcile(self, key: ObjectKey) -> None:
        node = key.name
        wanted = dict(self._wanted(node))
        existing = {
            name_of(one): one
            for one in self.attachments.list()
            if spec_of(one).get("nodeName") == node and OUR_NAMES.fullmatch(name_of(one))
        }
        for name in wanted.keys() - existing.keys():
            try:
                await self.resource.create(wanted[name])
            except errors.AlreadyExists:
                continue
        for name in existing.keys() - wanted.keys():
            if is_deleting(existing[name]) or not (spec_of(existing[name]).get("source") or {}).get(
                "persistentVolumeName"
            ):
                continue
            try:
                await self.resource.delete(name)
            except errors.NotFound:
                continue

    def _wanted(self, node: str) -> Iterable[tuple[str, Object]]:
        for pod in self.pods.by_index("node", node):
            if pod_status.is_terminal(pod):
                continue
            for claim_name in claims.names_in(pod):
                volume = self._volume_of(namespace_of(pod), claim_name)
                if volume is not None:
                    yield attachment_for(volume, node)

    def _volume_of(self, namespace: str, claim_name: str) -> Object | None:
        """The CSI volume behind a claim, if its driver wants to be told."""
        claim = self.claims.get(namespace, claim_name)
        volume = self.volumes.get("", spec_of(claim).get("volumeName") or "") if claim is not None else None
        csi = spec_of(volume).get("csi") if volume is not None else None
        if volume is None or not csi:
            return None
        driver = self.drivers.get("", csi.get("driver") or "")
        needed = driver is None or spec_of(driver).get("attachRequired") is not False
        return volume if needed else None


def attachment_for(volume: Object, node: str) -> tuple[str, Object]:
    """The VolumeAttachment of a volume on a node; its name follows from both."""
    csi = spec_of(volume)["csi"]
    digest = hashlib.sha256(f"{csi['volumeHandle']}{csi['driver']}{node}".encode()).hexdigest()
    name = f"csi-{digest}"
    return name, {
        "apiVersion": ATTACHMENTS[0],
        "kind": "VolumeAttachment",
        "metadata": {"name": name},
        "spec": {
            "attacher": csi["driver"],
            "nodeName": node,
            "source": {"persistentVolumeName": name_of(volume)},
        },
    }


def _node_if_claiming(pod: Object) -> Iterable[ObjectKey]:
    node = spec_of(pod).get("nodeName")
    return (ObjectKey("", node),) if node and claims.names_in(pod) else ()


def _node_of(attachment: Object) -> Iterable[ObjectKey]:
    node = spec_of(attachment).get("nodeName")
    return (ObjectKey("", node),) if node else ()
