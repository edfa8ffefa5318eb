"""ResourceClaims: made from templates for pods that ask, given back when their pods are done.

One queue for both kinds, told apart by a prefix of the name: a pod that asks for claims, a claim that pods hold.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core.pod import status as pod_status
from kubarium.api.resource import resource_claim
from kubarium.api.resource.resource_claim import FINALIZER, POD_CLAIM_NAME
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    finalizers_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

CLAIMS = ("resource.k8s.io/v1", "resourceclaims")
TEMPLATES = ("resource.k8s.io/v1", "resourceclaimtemplates")

POD, CLAIM = "pod:", "claim:"


class ResourceClaimController(Controller):
    """Makes claims, and takes them back."""

    name = "resourceclaim-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 50
    ) -> None:
        self.workers, self.events = workers, events
        pods = informers.informer("v1", "pods")
        pods.add_index(
            "claim", lambda pod: [f"{namespace_of(pod)}/{n}" for n in resource_claim.names_for(pod)]
        )
        self.pods = pods.lister
        self.templates = informers.informer(*TEMPLATES).lister
        self.claims = informers.informer(*CLAIMS).lister
        self.pod_client, self.claim_client = client.resource("v1", "pods"), client.resource(*CLAIMS)
        self._made: dict[
            ObjectKey, dict[str, Object]
        ] = {}  # claims of each pod; the cache may not show them yet
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_keys_of_pod),
            Watch(*CLAIMS, keys=self._keys_of_claim),
            Watch(*TEMPLATES, keys=self._waiting_for),
        ]

    def _keys_of_claim(self, claim: Object) -> Iterable[ObjectKey]:
        """The claim, and the pods that name it: they may have to hold it, or to get it anew."""
        yield ObjectKey(namespace_of(claim), CLAIM + name_of(claim))
        for pod in self.pods.by_index("claim", f"{namespace_of(claim)}/{name_of(claim)}"):
            yield ObjectKey(namespace_of(pod), POD + name_of(pod))

    def _waiting_for(self, template: Object) -> Iterable[ObjectKey]:
        for pod in self.pods.list(namespace_of(template)):
            if any(one.get("resourceClaimTemplateName") == name_of(template) for one in _asked(pod)):
                yield ObjectKey(namespace_of(pod), POD + name_of(pod))

    async def reconcile(self, key: ObjectKey) -> None:
        if key.name.startswith(POD):
            pod = self.pods.get(key.namespace, key.name.removeprefix(POD))
            if pod is None or is_deleting(pod) or pod_status.is_terminal(pod):
                self._made.pop(key, None)
                return
            if not await self._provide(key, pod) and pod_status.is_scheduled(pod):
                await self._hold(pod)
            return
        claim = self.claims.get(key.namespace, key.name.removeprefix(CLAIM))
        if claim is not None:
            await self._take_back(claim)

    # ---- pods that ask

    async def _provide(self, key: ObjectKey, pod: Object) -> bool:
        """Make what is missing. True when the pod was told of something new, which will bring us back."""
        known = {one["name"]: one for one in status_of(pod).get("resourceClaimStatuses") or []}
        wanted = dict(known)
        for asked in _asked(pod):
            template, entry = asked.get("resourceClaimTemplateName"), known.get(asked["name"])
            if not template or (entry is not None and await self._is_there(pod, entry)):
                continue
            if entry is not None:  # it was told of before and is gone: remember it no longer
                self._made.get(key, {}).pop(asked["name"], None)
            try:
                claim = await self._claim_for(key, pod, asked["name"], template)
            except errors.StatusError as error:
                text = f"PodResourceClaim {asked['name']}: {error}"
                self.events.event(pod, "Warning", "FailedResourceClaimCreation", text)
                raise
            wanted[asked["name"]] = {"name": asked["name"], "resourceClaimName": name_of(claim)}
        if wanted == known:
            return False
        patch = {
            "metadata": {"uid": uid_of(pod)},
            "status": {"resourceClaimStatuses": list(wanted.values())},
        }
        await self.pod_client.patch(name_of(pod), patch, namespace_of(pod), subresource="status")
        return True

    async def _is_there(self, pod: Object, entry: Object) -> bool:
        """Is the claim that the pod was told of still its own? Somebody may have deleted it."""
        name = entry.get("resourceClaimName")
        if not name:
            return True  # none is needed
        claim = self.claims.get(namespace_of(pod), name)
        if claim is None:
            try:
                claim = await self.claim_client.get(name, namespace_of(pod))
            except errors.NotFound:
                return False
        return owners.is_controlled_by(claim, pod)

    async def _claim_for(self, key: ObjectKey, pod: Object, asked: str, template_name: str) -> Object:
        made = self._made.setdefault(key, {})
        for claim in (*self.claims.list(namespace_of(pod)), *made.values()):
            ours = owners.is_controlled_by(claim, pod)
            if ours and annotations_of(claim).get(POD_CLAIM_NAME) == asked:
                return claim
        template = self.templates.get(namespace_of(pod), template_name)
        if template is None:
            missing = errors.NotFound.of("resource.k8s.io", "resourceclaimtemplate", template_name)
            raise errors.NotFound(f'resource claim template "{template_name}": {missing}')
        made[asked] = await self.claim_client.create(new_claim(pod, asked, template))
        return made[asked]

    async def _hold(self, pod: Object) -> None:
        """A pod that was put on its node by others than the scheduler has reserved nothing yet."""
        for asked in resource_claim.pod_claims(pod):
            claim = self.claims.get(namespace_of(pod), asked.name)
            if claim is None or resource_claim.objection_to(claim, pod, asked.generated):
                return
            held = resource_claim.is_reserved_for(claim, uid_of(pod))
            if held or not resource_claim.allocation_of(claim) or not resource_claim.can_be_reserved(claim):
                continue
            changed = copy(claim)
            consumer = {"resource": "pods", "name": name_of(pod), "uid": uid_of(pod)}
            changed["status"]["reservedFor"] = [*resource_claim.consumers_of(claim), consumer]
            await self.claim_client.update_status(changed)

    # ---- claims that are held

    async def _take_back(self, claim: Object) -> None:
        held = resource_claim.consumers_of(claim)
        valid = [one for one in held if not await self._is_done(namespace_of(claim), one)]
        changed = copy(claim)
        # Allocated but not held is no reason: the allocation may be older than whoever is to hold it.
        let_go = not valid and FINALIZER in finalizers_of(claim) and (held or is_deleting(claim))
        if len(valid) != len(held) or (let_go and resource_claim.allocation_of(claim)):
            changed["status"]["reservedFor"] = valid
            if not valid:
                for name in ("reservedFor", "allocation", "devices"):
                    changed["status"].pop(name, None)
            changed = await self.claim_client.update_status(changed)
        if let_go:
            changed["metadata"]["finalizers"] = [one for one in finalizers_of(changed) if one != FINALIZER]
            changed = await self.claim_client.update(changed)
        if not valid and not is_deleting(changed) and self._owner_is_done(changed):
            log.info("deleting claim %s, its pod is done", logging.name(changed))
            try:
                await self.claim_client.delete(name_of(claim), namespace_of(claim))
            except errors.NotFound:
                return

    async def _is_done(self, namespace: str, consumer: Object) -> bool:
        if consumer.get("apiGroup") or consumer.get("resource") != "pods":
            return False  # other consumers look after themselves
        pod = self.pods.get(namespace, consumer["name"])
        if pod is None or uid_of(pod) != consumer.get("uid"):
            try:  # the cache may not show it yet, and who is about to run must not lose it
                pod = await self.pod_client.get(consumer["name"], namespace)
            except errors.NotFound:
                return True
        return uid_of(pod) != consumer.get("uid") or _has_ended(pod)

    def _owner_is_done(self, claim: Object) -> bool:
        """Claims made for a pod go with it, even while the pod is kept for its logs."""
        owner = owners.controller_of(claim)
        if owner is None or owner.get("kind") != "Pod":
            return False
        pod = self.pods.get(namespace_of(claim), owner["name"])
        return pod is not None and uid_of(pod) == owner["uid"] and _has_ended(pod)


def new_claim(pod: Object, name: str, template: Object) -> Object:
    """The claim of a pod, from a template."""
    wanted = copy(spec_of(template))
    metadata = wanted.get("metadata") or {}
    return {
        "apiVersion": CLAIMS[0],
        "kind": "ResourceClaim",
        "metadata": {
            "generateName": f"{name_of(pod)}-{name}-",
            "namespace": namespace_of(pod),
            "labels": labels_of({"metadata": metadata}),
            "annotations": {**(metadata.get("annotations") or {}), POD_CLAIM_NAME: name},
            "ownerReferences": [owners.owner_reference_to(pod, api_version="v1", kind="Pod")],
        },
        "spec": wanted.get("spec") or {},
    }


def _asked(pod: Object) -> list[Object]:
    return spec_of(pod).get("resourceClaims") or []


def _has_ended(pod: Object) -> bool:
    """Ended for good; or on its way out without ever having had a node."""
    return pod_status.is_terminal(pod) or (is_deleting(pod) and not pod_status.is_scheduled(pod))


def _keys_of_pod(pod: Object) -> Iterable[ObjectKey]:
    held = [ObjectKey(namespace_of(pod), CLAIM + name) for name in resource_claim.names_for(pod)]
    return [ObjectKey(namespace_of(pod), POD + name_of(pod)), *held] if _asked(pod) else held
