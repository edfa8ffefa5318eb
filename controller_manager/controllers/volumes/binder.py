"""Claims ↔ volumes: find a volume for each claim, ask for one to be made, take back what is released.

    claim   unbound ── a volume fits ──▶ bound       none fits and there is a class ──▶ its provisioner is asked
    volume  Available ──▶ Bound ──▶ Released ──▶ (Retain: stays; Delete: its provisioner removes it)

Binding is written in four steps, volume first; whoever stops in between finds the claim's name in the volume and
goes on.
Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#lifecycle-of-a-volume-and-claim
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import claims
from kubarium.api.core.volume_binding import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    OLD_PROVISIONER,
    PROVISIONED_BY,
    PROVISIONER,
    SELECTED_NODE,
    can_hold,
    capacity_of,
    class_of,
    fits,
    is_free,
    mismatch,
    refers_to,
)
from kubarium.api.storage import storage_class
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

VOLUMES = ""  # keys of volumes have no namespace, keys of claims have one


class PersistentVolumeBinder(Controller):
    """One queue for both kinds: a key with a namespace is a claim, one without is a volume."""

    name = "persistentvolume-binder-controller"
    workers = 1  # two claims must not be given the same volume

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        provisioning: bool = True,
        period: float = 15.0,
    ) -> None:
        self.events, self.provisioning, self.period = events, provisioning, period
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister
        self.pods = informers.informer("v1", "pods").lister
        self.claim_client = client.resource("v1", "persistentvolumeclaims")
        self.volume_client = client.resource("v1", "persistentvolumes")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "persistentvolumeclaims", keys=self._of_claim),
            Watch("v1", "persistentvolumes", keys=self._of_volume),
            Watch("storage.k8s.io/v1", "storageclasses", keys=self._of_class),
        ]

    def _of_claim(self, claim: Object) -> Iterable[ObjectKey]:
        volume = spec_of(claim).get("volumeName")
        return [key_of(claim), *([ObjectKey(VOLUMES, volume)] if volume else [])]

    def _of_volume(self, volume: Object) -> Iterable[ObjectKey]:
        reference = spec_of(volume).get("claimRef")
        found = [key_of(volume)]
        if reference:
            found.append(ObjectKey(reference.get("namespace") or "", reference.get("name") or ""))
            return found
        return [*found, *(key_of(one) for one in self._waiting() if fits(volume, one))]

    def _of_class(self, storage_class: Object) -> Iterable[ObjectKey]:
        """Claims that waited for it, and those for which it may be the default."""
        name, names_class = name_of(storage_class), persistent_volume_claim.names_class
        return [key_of(one) for one in self._waiting() if class_of(one) == name or not names_class(one)]

    def _waiting(self) -> Iterable[Object]:
        return (one for one in self.claims.list() if BIND_COMPLETED not in annotations_of(one))

    async def reconcile(self, key: ObjectKey) -> float | None:
        if key.namespace == VOLUMES:
            volume = self.volumes.get(key)
            if volume is not None:
                await self._sync_volume(volume)
            return None
        claim = self.claims.get(key)
        if claim is None:
            return None
        if BIND_COMPLETED in annotations_of(claim):
            await self._sync_bound(claim)
            return None
        return await self._sync_unbound(claim)

    # ---- claims

    async def _sync_unbound(self, claim: Object) -> float | None:
        if is_deleting(claim):
            return None
        name = spec_of(claim).get("volumeName")
        if name:
            return await self._bind_by_wish(claim, name)
        volume = self._best(claim)
        if volume is not None:
            await self._bind(volume, claim)
            return None
        if await self._give_default_class(claim):
            return None
        if self._must_wait(claim):
            reason, text = self._why_waiting(claim)
            self.events.event(claim, "Normal", reason, text)
        elif class_of(claim):
            await self._provision(claim)
        else:
            text = "no persistent volumes available for this claim and no storage class is set"
            self.events.event(claim, "Normal", "FailedBinding", text)
        await self._set_claim_phase(claim, "Pending", None)
        return self.period

    async def _give_default_class(self, claim: Object) -> bool:
        """A class that has become the default later counts as well.

        Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#retroactive-default-storageclass-assignment
        """
        default = storage_class.default_of(self.classes.list())
        if default is None or persistent_volume_claim.names_class(claim):
            return False
        await self.claim_client.update(
            {**claim, "spec": {**spec_of(claim), "storageClassName": name_of(default)}}
        )
        return True

    async def _bind_by_wish(self, claim: Object, name: str) -> float | None:
        volume = self.volumes.get(VOLUMES, name)
        reference = spec_of(volume).get("claimRef") if volume is not None else None
        if volume is None or (reference is not None and not refers_to(volume, claim)):
            if reference is not None:
                text = f'volume "{name}" already bound to a different claim.'
                self.events.event(claim, "Warning", "FailedBinding", text)
            await self._set_claim_phase(claim, "Pending", None)
            return self.period
        problem = mismatch(volume, claim)
        if problem and reference is None:  # where both name each other, people know what they do
            text = f'Cannot bind to requested volume "{name}": {problem}'
            self.events.event(claim, "Warning", "VolumeMismatch", text)
            await self._set_claim_phase(claim, "Pending", None)
            return self.period
        await self._bind(volume, claim)
        return None

    def _best(self, claim: Object) -> Object | None:
        """A volume that names this claim, of whatever class; else the smallest that fits."""
        volumes = self.volumes.list()
        named = next((one for one in volumes if spec_of(one).get("claimRef") and refers_to(one, claim)
                      and can_hold(one, claim)), None)  # fmt: skip
        if named is not None:
            return named
        if self._must_wait(claim) and SELECTED_NODE not in annotations_of(claim):
            return None
        fitting = [one for one in volumes if is_free(one) and fits(one, claim)]
        return min(fitting, key=lambda one: (capacity_of(one), name_of(one)), default=None)

    def _must_wait(self, claim: Object) -> bool:
        wanted = self.classes.get("", class_of(claim))
        if wanted is None or wanted.get("volumeBindingMode") != storage_class.WAIT:
            return False
        return SELECTED_NODE not in annotations_of(claim)

    def _why_waiting(self, claim: Object) -> tuple[str, str]:
        users = [
            name_of(pod)
            for pod in self.pods.list(namespace_of(claim))
            if not spec_of(pod).get("nodeName") and name_of(claim) in claims.names_in(pod)
        ]
        if users:
            return "WaitForPodScheduled", (
                f"waiting for pod{'s' * (len(users) > 1)} {','.join(users)} to be scheduled"
            )
        return "WaitForFirstConsumer", "waiting for first consumer to be created before binding"

    async def _provision(self, claim: Object) -> None:
        if not self.provisioning:
            return
        wanted = self.classes.get("", class_of(claim))
        if wanted is None:
            text = f'storageclass.storage.k8s.io "{class_of(claim)}" not found'
            self.events.event(claim, "Warning", "ProvisioningFailed", text)
            return
        provisioner = wanted.get("provisioner") or ""
        if provisioner == NO_PROVISIONER:
            text = f"no volume plugin matched name: {provisioner}"
            self.events.event(claim, "Warning", "ProvisioningFailed", text)
            return
        asked = {PROVISIONER: provisioner, OLD_PROVISIONER: provisioner}
        if any(annotations_of(claim).get(key) != value for key, value in asked.items()):
            new = copy(claim)
            new["metadata"]["annotations"] = {**annotations_of(claim), **asked}
            await self.claim_client.update(new)
        text = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by "
            "the system administrator. If volume creation is delayed, please verify that the provisioner is running "
            "and correctly registered."
        )
        self.events.event(claim, "Normal", "ExternalProvisioning", text)

    async def _sync_bound(self, claim: Object) -> None:
        name = spec_of(claim).get("volumeName") or ""
        volume = self.volumes.get(VOLUMES, name)
        if volume is None:
            what = "its PersistentVolume" if name else "reference to PersistentVolume"
            await self._lose(claim, f"Bound claim has lost {what}. Data on the volume is lost!")
        elif not spec_of(volume).get("claimRef") or spec_of(volume)["claimRef"].get("uid") == uid_of(claim):
            await self._bind(volume, claim)
        else:
            text = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lose(claim, text, reason="ClaimMisbound")

    async def _lose(self, claim: Object, text: str, reason: str = "ClaimLost") -> None:
        if status_of(claim).get("phase") != "Lost":
            self.events.event(claim, "Warning", reason, text)
        await self._set_claim_phase(claim, "Lost", None)

    # ---- binding

    async def _bind(self, volume: Object, claim: Object) -> None:
        volume = await self._write_claim_into(volume, claim)
        volume = await self._set_volume_phase(volume, "Bound")
        claim = await self._write_volume_into(claim, volume)
        await self._set_claim_phase(claim, "Bound", volume)

    async def _write_claim_into(self, volume: Object, claim: Object) -> Object:
        reference = spec_of(volume).get("claimRef")
        if reference and reference.get("uid") == uid_of(claim):
            return volume
        changed = copy(volume)
        if not reference:
            changed["metadata"].setdefault("annotations", {})[BOUND_BY_CONTROLLER] = "yes"
        changed["spec"]["claimRef"] = {
            "kind": "PersistentVolumeClaim",
            "namespace": namespace_of(claim),
            "name": name_of(claim),
            "uid": uid_of(claim),
            "apiVersion": "v1",
            "resourceVersion": resource_version_of(claim),
        }
        return await self.volume_client.update(changed)

    async def _write_volume_into(self, claim: Object, volume: Object) -> Object:
        changed = copy(claim)
        annotations = changed["metadata"].setdefault("annotations", {})
        if spec_of(claim).get("volumeName") != name_of(volume):
            changed["spec"]["volumeName"] = name_of(volume)
            annotations[BOUND_BY_CONTROLLER] = "yes"
        annotations[BIND_COMPLETED] = "yes"
        return claim if changed == claim else await self.claim_client.update(changed)

    async def _set_claim_phase(self, claim: Object, phase: str, volume: Object | None) -> None:
        status = dict(status_of(claim))
        status["phase"] = phase
        if volume is not None:
            status["accessModes"] = spec_of(volume).get("accessModes")
            if "capacity" not in status:  # later it is whoever grows the volume that writes it
                status["capacity"] = {"storage": (spec_of(volume).get("capacity") or {}).get("storage")}
        else:
            status.pop("accessModes", None)
            status.pop("capacity", None)
        if status != status_of(claim):
            await self.claim_client.update_status({**claim, "status": status})

    async def _set_volume_phase(self, volume: Object, phase: str, message: str = "") -> Object:
        if status_of(volume).get("phase") == phase:
            return volume  # what others wrote beside it is theirs
        passing = ("message", "lastPhaseTransitionTime")  # the time is written by the API server
        status = {key: value for key, value in status_of(volume).items() if key not in passing}
        status["phase"] = phase
        if message:
            status["message"] = message
        return await self.volume_client.update_status({**volume, "status": status})

    # ---- volumes

    async def _sync_volume(self, volume: Object) -> None:
        reference = spec_of(volume).get("claimRef")
        if not reference or not reference.get("uid"):
            await self._set_volume_phase(volume, "Available")
            return
        claim = await self._claim_of(reference)
        if claim is None:
            await self._release(volume)
        elif not spec_of(claim).get("volumeName"):
            self.queue.add(key_of(claim))
        elif spec_of(claim)["volumeName"] == name_of(volume):
            await self._set_volume_phase(volume, "Bound")
        else:
            await self._let_go(volume)

    async def _claim_of(self, reference: Object) -> Object | None:
        """The claim that the volume is bound to, if it still exists; a namesake does not count."""
        found = self.claims.get(reference.get("namespace") or "", reference.get("name") or "")
        if found is None or uid_of(found) != reference["uid"]:
            try:  # a stale cache must not cost anyone their data
                found = await self.claim_client.get(reference["name"], reference["namespace"])
            except errors.NotFound:
                return None
        return found if uid_of(found) == reference["uid"] else None

    async def _release(self, volume: Object) -> None:
        if status_of(volume).get("phase") not in ("Released", "Failed"):
            volume = await self._set_volume_phase(volume, "Released")
        policy = spec_of(volume).get("persistentVolumeReclaimPolicy") or "Retain"
        if policy == "Retain" or PROVISIONED_BY in annotations_of(volume) or is_deleting(volume):
            return  # kept for a person, or deleted by whoever made it
        reason, text = "VolumeFailedRecycle", "No recycler plugin found for the volume!"
        if policy == "Delete":
            reason = "VolumeFailedDelete"
            text = (
                f'error getting deleter volume plugin for volume "{name_of(volume)}": '
                "no deletable volume plugin matched"
            )
        if status_of(volume).get("phase") != "Failed":
            self.events.event(volume, "Warning", reason, text)
            await self._set_volume_phase(volume, "Failed", text)

    async def _let_go(self, volume: Object) -> None:
        """The claim is bound elsewhere."""
        if (
            PROVISIONED_BY in annotations_of(volume)
            and spec_of(volume).get("persistentVolumeReclaimPolicy") == "Delete"
        ):
            await self._release(volume)
            return
        changed = copy(volume)
        if BOUND_BY_CONTROLLER in annotations_of(volume):
            changed["spec"].pop("claimRef", None)
            changed["metadata"]["annotations"].pop(BOUND_BY_CONTROLLER)
        else:
            changed["spec"]["claimRef"].pop("uid", None)
        changed = await self.volume_client.update(changed)
        await self._set_volume_phase(changed, "Available")
