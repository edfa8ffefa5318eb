"""Claims, volumes and classes of attributes in use stay until nobody uses them: a finalizer sees to that.

claim              kubernetes.io/pvc-protection   goes when no pod that has a node names it, not even an ended one
volume             kubernetes.io/pv-protection    goes when no claim is bound to it
attributes class   kubernetes.io/vac-protection   goes when no claim and no volume names it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core.pod import claims
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    finalizers_of,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.resource import ResourceClient
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

CLAIM_FINALIZER = "kubernetes.io/pvc-protection"
VOLUME_FINALIZER = "kubernetes.io/pv-protection"
CLASS_FINALIZER = "kubernetes.io/vac-protection"
CLASSES = ("storage.k8s.io/v1", "volumeattributesclasses")


class ClaimProtectionController(Controller):
    """Protects claims."""

    name = "persistentvolumeclaim-protection-controller"
    queue_name = "pvcprotection"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.pods = informers.informer("v1", "pods").lister
        self.resource = client.resource("v1", "persistentvolumeclaims")
        self.pod_client = client.resource("v1", "pods")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "persistentvolumeclaims"),
            Watch("v1", "pods", keys=_claims_of, changed=_may_let_go),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        claim = self.claims.get(key)
        if claim is None:
            return
        held = CLAIM_FINALIZER in finalizers_of(claim)
        if not is_deleting(claim):
            if not held:
                await set_finalizer(self.resource, claim, CLAIM_FINALIZER, wanted=True)
        elif held and not _in_use(self.pods.list(key.namespace), key.name):
            live = await self.pod_client.list(key.namespace)  # the cache may not have seen a new pod
            if not _in_use(live["items"], key.name):
                await set_finalizer(self.resource, claim, CLAIM_FINALIZER, wanted=False)


class VolumeProtectionController(Controller):
    """Protects volumes."""

    name = "persistentvolume-protection-controller"
    queue_name = "pvprotection"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.resource = client.resource("v1", "persistentvolumes")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumes")]

    async def reconcile(self, key: ObjectKey) -> None:
        volume = self.volumes.get(key)
        if volume is None:
            return
        held = VOLUME_FINALIZER in finalizers_of(volume)
        if not is_deleting(volume):
            if not held:
                await set_finalizer(self.resource, volume, VOLUME_FINALIZER, wanted=True)
        elif held and status_of(volume).get("phase") != "Bound":
            await set_finalizer(self.resource, volume, VOLUME_FINALIZER, wanted=False)


class AttributesClassProtectionController(Controller):
    """Protects classes of volume attributes."""

    name = "volumeattributesclass-protection-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.classes = informers.informer(*CLASSES).lister
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.volumes = informers.informer("v1", "persistentvolumes").lister
        self.resource = client.resource(*CLASSES)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch(*CLASSES),
            Watch("v1", "persistentvolumeclaims", keys=_classes_of, changed=_names_other_classes),
            Watch("v1", "persistentvolumes", keys=_classes_of, changed=_names_other_classes),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        found = self.classes.get(key)
        if found is None:
            return
        held = CLASS_FINALIZER in finalizers_of(found)
        if not is_deleting(found):
            if not held:
                await set_finalizer(self.resource, found, CLASS_FINALIZER, wanted=True)
        elif held and not self._in_use(name_of(found)):
            await set_finalizer(self.resource, found, CLASS_FINALIZER, wanted=False)

    def _in_use(self, name: str) -> bool:
        return any(name in attributes_classes(one) for one in (*self.claims.list(), *self.volumes.list()))


def attributes_classes(obj: Object) -> set[str]:
    """The classes of attributes that a claim has, wants or is being changed to; or that a volume has."""
    status = status_of(obj)
    names = (
        spec_of(obj).get("volumeAttributesClassName"),
        status.get("currentVolumeAttributesClassName"),
        (status.get("modifyVolumeStatus") or {}).get("targetVolumeAttributesClassName"),
    )
    return {name for name in names if name}


async def set_finalizer(resource: ResourceClient, obj: Object, finalizer: str, *, wanted: bool) -> None:
    """Add or take away one finalizer, guarded against changes meanwhile."""
    new = copy(obj)  # updated, not patched: upstream's role allows no more
    left = [one for one in finalizers_of(obj) if one != finalizer]
    new["metadata"]["finalizers"] = [*left, finalizer] if wanted else left
    try:
        await resource.update(new)
    except errors.NotFound:
        return


def _in_use(pods: Iterable[Object], claim: str) -> bool:
    return any(claim in held_by(pod) for pod in pods)


def held_by(pod: Object) -> set[str]:
    """An ended pod holds its claims until it is deleted; what was made for it, only until its node is done with it."""
    if not pod_status.is_scheduled(pod):
        return set()
    done = is_deleting(pod) and pod["metadata"].get("deletionGracePeriodSeconds") == 0
    return claims.chosen_in(pod) if done else claims.names_in(pod)


def _claims_of(pod: Object) -> Iterable[ObjectKey]:
    return [ObjectKey(namespace_of(pod), claim) for claim in claims.names_in(pod)]


def _may_let_go(old: Object, new: Object) -> bool:
    return held_by(old) != held_by(new)


def _classes_of(obj: Object) -> Iterable[ObjectKey]:
    return [ObjectKey("", name) for name in attributes_classes(obj)]


def _names_other_classes(old: Object, new: Object) -> bool:
    return attributes_classes(old) != attributes_classes(new)
