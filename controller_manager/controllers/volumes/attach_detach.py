"""VolumeAttachments for scheduled pods: a CSI volume is attached to a node before the first pod there can use it.

    pods with a node and a bound CSI claim  ──▶ wanted (volume, node) pairs ──▶ create
    VolumeAttachments that nobody wants     ──▶ not before the node's kubelet has let go of the volume ──▶ delete
    attached VolumeAttachments              ──▶ node.status.volumesAttached, for the kubelet

The driver's own attacher does the work and reports in the status; attachments that others made are left alone.
A volume for one node is not attached to a second one. A node that does not let go within six minutes and is not well,
or is declared out of service, is not waited for.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kubarium.api.core import persistent_volume, taints
from kubarium.api.core.pod import claims
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

ATTACHMENTS = ("storage.k8s.io/v1", "volumeattachments")
DRIVERS = ("storage.k8s.io/v1", "csidrivers")
OUR_NAMES = re.compile(r"csi-[0-9a-f]{64}")
MAX_WAIT_FOR_UNMOUNT = 360.0  # seconds
EXCLUSIVE = frozenset(("ReadWriteOnce", "ReadWriteOncePod"))
RETRY = 10.0  # seconds until a volume that is elsewhere is asked for again


@dataclass
class Wanted:
    """A volume that pods on a node need."""

    volume: Object
    pods: list[Object] = field(default_factory=list)


class AttachDetachController(Controller):
    """Keys are nodes: one pass compares everything of one node."""

    name = "persistentvolume-attach-detach-controller"
    workers = 2

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        recorder: EventRecorder,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: a node is waited for however long it takes."""
        self.patient = patient
        pods = informers.informer("v1", "pods")
        pods.add_index("node", lambda pod: [spec_of(pod).get("nodeName") or ""])
        self.pods = pods.lister
        self.nodes = informers.informer("v1", "nodes").lister
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.drivers = informers.informer(*DRIVERS).lister
        self.attachments = informers.informer(*ATTACHMENTS).lister
        self.resource = client.resource(*ATTACHMENTS)
        self.node_resource = client.resource("v1", "nodes")
        self.recorder = recorder
        self._unwanted_since: dict[str, float] = {}
        self._told: dict[
            str, set[str]
        ] = {}  # of a node, attachments that wait for others, as their pods know
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_node_if_claiming),
            Watch("v1", "nodes", changed=_storage_changed),
            Watch("v1", "persistentvolumeclaims", keys=self._nodes_of_claim),
            Watch("v1", "persistentvolumes", keys=lambda volume: ()),
            Watch(*DRIVERS, keys=lambda driver: ()),
            Watch(*ATTACHMENTS, keys=_node_of, on_update=self._tell, on_delete=self._wake_the_next),
        ]

    def _nodes_of_claim(self, claim: Object) -> Iterable[ObjectKey]:
        return [
            ObjectKey("", spec_of(pod)["nodeName"])
            for pod in self.pods.list(namespace_of(claim))
            if spec_of(pod).get("nodeName") and name_of(claim) in claims.names_in(pod)
        ]

    def _wake_the_next(self, attachment: Object) -> None:
        """The volume is free: whoever waits for it may have it."""
        volume = self.volumes.get("", _volume_name(attachment))
        claim = (spec_of(volume).get("claimRef") or {}) if volume is not None else {}
        found = self.claims.get(claim.get("namespace") or "", claim.get("name") or "")
        for key in self._nodes_of_claim(found) if found is not None else ():
            self.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        node = key.name
        wanted = dict(self._wanted(node))
        existing = {
            name_of(one): one
            for one in self.attachments.list()
            if spec_of(one).get("nodeName") == node and OUR_NAMES.fullmatch(name_of(one))
        }
        missing = wanted.keys() - existing.keys()
        self._told[node] = self._told.get(node, set()) & missing
        waits = [await self._attach(node, name, wanted[name]) for name in missing]
        for name in wanted:
            self._unwanted_since.pop(name, None)
        for name in existing.keys() - wanted.keys():
            waits.append(await self._detach(node, existing[name]))
        await self._report(node, existing.values())
        return min((wait for wait in waits if wait is not None), default=None)

    async def _attach(self, node: str, name: str, wanted: Wanted) -> float | None:
        elsewhere = self._nodes_with(wanted.volume) - {node}
        if elsewhere and EXCLUSIVE.issuperset(spec_of(wanted.volume).get("accessModes") or []):
            if name not in self._told[node]:  # once, not every time that it is asked for again
                self._told[node].add(name)
                self._tell_who_has_it(wanted, elsewhere)
            return RETRY
        try:
            await self.resource.create(attachment_for(wanted.volume, node)[1])
        except errors.AlreadyExists:
            return None
        return None

    def _tell_who_has_it(self, wanted: Wanted, nodes: Iterable[str]) -> None:
        users = sorted(name_of(pod) for node in nodes for found in dict(self._wanted(node)).values()
                       if name_of(found.volume) == name_of(wanted.volume) for pod in found.pods)  # fmt: skip
        why = "exclusively attached to one node and can't be attached to another"
        if users:
            why = f"used by pod(s) {', '.join(users)}"
        text = f'Multi-Attach error for volume "{name_of(wanted.volume)}" Volume is already {why}'
        for pod in wanted.pods:
            self.recorder.event(pod, "Warning", "FailedAttachVolume", text)

    def _nodes_with(self, volume: Object) -> set[str]:
        found = (one for one in self.attachments.list() if _volume_name(one) == name_of(volume))
        return {spec_of(one).get("nodeName") or "" for one in found}

    async def _detach(self, node: str, attachment: Object) -> float | None:
        """Delete, once the kubelet no longer uses the volume. Returns when to look again."""
        if is_deleting(attachment) or not _volume_name(attachment):
            return None
        wait = self._wait_for_unmount(node, attachment)
        if wait is not None:
            return wait
        try:
            await self.resource.delete(name_of(attachment))
        except errors.NotFound:
            return None
        return None

    def _wait_for_unmount(self, node: str, attachment: Object) -> float | None:
        found = self.nodes.get("", node)
        in_use = status_of(found or {}).get("volumesInUse") or []
        volume = self.volumes.get("", _volume_name(attachment))
        if found is None or volume is None or persistent_volume.unique_name(volume) not in in_use:
            self._unwanted_since.pop(name_of(attachment), None)
            return None
        if any(taint.get("key") == taints.OUT_OF_SERVICE for taint in spec_of(found).get("taints") or []):
            return None
        now = self.clock.monotonic()
        left = self._unwanted_since.setdefault(name_of(attachment), now) + MAX_WAIT_FOR_UNMOUNT - now
        if left > 0:
            return left
        return RETRY if self.patient or conditions.is_true(found, "Ready") else None

    async def _report(self, node: str, existing: Iterable[Object]) -> None:
        """Say in the node's status what is attached."""
        found = self.nodes.get("", node)
        if found is None:
            return
        attached = [
            {"name": persistent_volume.unique_name(volume), "devicePath": ""}
            for one in existing
            if status_of(one).get("attached")
            and (volume := self.volumes.get("", _volume_name(one))) is not None
            and spec_of(volume).get("csi")
        ]
        attached.sort(key=lambda one: one["name"])
        if (status_of(found).get("volumesAttached") or []) != attached:
            change = {"status": {"volumesAttached": attached or None}}
            await self.node_resource.patch(node, change, subresource="status")

    def _tell(self, old: Object, new: Object) -> None:
        """Events for the pods that wait."""
        before, after = status_of(old), status_of(new)
        error = (after.get("attachError") or {}).get("message")
        is_new_error = error and error != (before.get("attachError") or {}).get("message")
        if not is_new_error and (not after.get("attached") or before.get("attached")):
            return
        name = _volume_name(new)
        for found in dict(self._wanted(spec_of(new).get("nodeName") or "")).values():
            for pod in found.pods if name_of(found.volume) == name else ():
                if is_new_error:
                    text = f'AttachVolume.Attach failed for volume "{name}" : {error}'
                    self.recorder.event(pod, "Warning", "FailedAttachVolume", text)
                else:
                    text = f'AttachVolume.Attach succeeded for volume "{name}" '
                    self.recorder.event(pod, "Normal", "SuccessfulAttachVolume", text)

    def _wanted(self, node: str) -> Iterable[tuple[str, Wanted]]:
        found: dict[str, Wanted] = {}
        for pod in self.pods.by_index("node", node):
            if pod_status.is_terminal(pod):
                continue
            for claim_name in claims.names_in(pod):
                volume = self._volume_of(namespace_of(pod), claim_name)
                if volume is not None:
                    name = attachment_for(volume, node)[0]
                    found.setdefault(name, Wanted(volume)).pods.append(pod)
        return found.items()

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


def _volume_name(attachment: Object) -> str:
    return (spec_of(attachment).get("source") or {}).get("persistentVolumeName") or ""


def _node_if_claiming(pod: Object) -> Iterable[ObjectKey]:
    node = spec_of(pod).get("nodeName")
    return (ObjectKey("", node),) if node and claims.names_in(pod) else ()


def _node_of(attachment: Object) -> Iterable[ObjectKey]:
    node = spec_of(attachment).get("nodeName")
    return (ObjectKey("", node),) if node else ()


def _storage_changed(old: Object, new: Object) -> bool:
    """Heartbeats are of no interest."""
    kept = ("volumesInUse", "volumesAttached")
    return any(status_of(old).get(key) != status_of(new).get(key) for key in kept) or spec_of(old) != spec_of(
        new
    )
