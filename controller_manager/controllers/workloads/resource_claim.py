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
        self.pods = informers.informer("v1", "pods").lister
        self.templates = informers.informer(*TEMPLATES).lister
        self.claims = informers.informer(*CLAIMS).lister
        self.pod_client, self.claim_client = client.resource("v1", "pods"), client.resource(*CLAIMS)
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_keys_of_pod),
            Watch(*CLAIMS, keys=lambda claim: (ObjectKey(namespace_of(claim), CLAIM + name_of(claim)),)),
            Watch(*TEMPLATES, keys=self._waiting_for),
        ]

    def _waiting_for(self, template: Object) -> Iterable[ObjectKey]:
        for pod in self.pods.list(namespace_of(template)):
            if any(one.get("resourceClaimTemplateName") == name_of(template) for one in _asked(pod)):
                yield ObjectKey(namespace_of(pod), POD + name_of(pod))

    async def reconcile(self, key: ObjectKey) -> None:
        if key.name.startswith(POD):
            pod = self.pods.get(key.namespace, key.name.removeprefix(POD))
            if pod is not None and not is_deleting(pod) and not pod_status.is_terminal(pod):
                await self._provide(pod)
            return
        claim = self.claims.get(key.namespace, key.name.removeprefix(CLAIM))
        if claim is not None:
            await self._take_back(claim)

    # ---- pods that ask

    async def _provide(self, pod: Object) -> None:
        known = {one["name"]: one for one in status_of(pod).get("resourceClaimStatuses") or []}
        wanted = dict(known)
        for asked in _asked(pod):
            if asked.get("resourceClaimTemplateName") and asked["name"] not in known:
                claim = await self._claim_for(pod, asked)
                wanted[asked["name"]] = {"name": asked["name"], "resourceClaimName": name_of(claim)}
        if wanted != known:
            patch = {
                "metadata": {"uid": uid_of(pod)},
                "status": {"resourceClaimStatuses": list(wanted.values())},
            }
            await self.pod_client.patch(name_of(pod), patch, namespace_of(pod), subresource="status")

    async def _claim_for(self, pod: Object, asked: Object) -> Object:
        for claim in self.claims.list(namespace_of(pod)):
            ours = owners.is_controlled_by(claim, pod)
            if ours and annotations_of(claim).get(POD_CLAIM_NAME) == asked["name"]:
                return claim
        template = self.templates.get(namespace_of(pod), asked["resourceClaimTemplateName"])
        if template is None:
            name = asked["resourceClaimTemplateName"]
            text = f'PodResourceClaim {asked["name"]}: resource claim template "{name}": not found'
            self.events.event(pod, "Warning", "FailedResourceClaimCreation", text)
            raise errors.NotFound(text)
        return await self.claim_client.create(new_claim(pod, asked["name"], template))

    # ---- claims that are held

    async def _take_back(self, claim: Object) -> None:
        held = status_of(claim).get("reservedFor") or []
        valid = [one for one in held if not self._is_done(namespace_of(claim), one)]
        changed = copy(claim)
        if len(valid) != len(held):
            changed["status"]["reservedFor"] = valid
            if not valid:
                changed["status"].pop("reservedFor")
                changed["status"].pop("allocation", None)
                changed["status"].pop("devices", None)
            changed = await self.claim_client.update_status(changed)
        if not valid and not status_of(changed).get("allocation") and FINALIZER in finalizers_of(changed):
            changed["metadata"]["finalizers"] = [one for one in finalizers_of(changed) if one != FINALIZER]
            changed = await self.claim_client.update(changed)
        if not valid and not is_deleting(changed) and self._owner_is_done(changed):
            log.info("deleting claim %s, its pod is done", logging.name(changed))
            try:
                await self.claim_client.delete(name_of(claim), namespace_of(claim))
            except errors.NotFound:
                return

    def _is_done(self, namespace: str, consumer: Object) -> bool:
        if consumer.get("apiGroup") or consumer.get("resource") != "pods":
            return False  # other consumers look after themselves
        pod = self.pods.get(namespace, consumer["name"])
        return pod is None or uid_of(pod) != consumer.get("uid") or _has_ended(pod)

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
