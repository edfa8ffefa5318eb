"""Claims made from pods: `volumes[].ephemeral` becomes a claim that goes with its pod."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    is_deleting,
    key_of,
    name_of,
    namespace_of,
    spec_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class EphemeralVolumeController(Controller):
    """Makes the claims that pods ask for."""

    name = "ephemeral-volume-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 5
    ) -> None:
        self.workers, self.events = workers, events
        self.pods = informers.informer("v1", "pods").lister
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        self.resource = client.resource("v1", "persistentvolumeclaims")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_if_it_asks, changed=lambda old, new: False),
            Watch("v1", "persistentvolumeclaims", keys=_pod_of, changed=lambda old, new: False),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        pod = self.pods.get(key)
        if pod is None or is_deleting(pod) or pod_status.is_terminal(pod):
            return
        for volume in _asked(pod):
            await self._provide(pod, volume)

    async def _provide(self, pod: Object, volume: Object) -> None:
        name = f"{name_of(pod)}-{volume['name']}"
        existing = self.claims.get(namespace_of(pod), name)
        if existing is not None:
            if not owners.is_controlled_by(existing, pod):
                text = (
                    f"PVC {namespace_of(pod)}/{name} was not created for pod {key_of(pod)} (pod is not owner)"
                )
                self._tell(pod, volume, text)
                raise errors.Conflict(text)
            return
        template = copy(volume["ephemeral"]["volumeClaimTemplate"])
        metadata = template.get("metadata") or {}
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": name,
                "namespace": namespace_of(pod),
                "labels": metadata.get("labels") or {},
                "annotations": metadata.get("annotations") or {},
                "ownerReferences": [owners.owner_reference_to(pod, api_version="v1", kind="Pod")],
            },
            "spec": template.get("spec") or {},
        }
        try:
            await self.resource.create(claim)
        except errors.AlreadyExists:
            raise
        except errors.StatusError as error:
            self._tell(pod, volume, f"create PVC {name}: {error}")
            raise

    def _tell(self, pod: Object, volume: Object, why: str) -> None:
        self.events.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {why}")


def _asked(pod: Object) -> list[Object]:
    volumes = spec_of(pod).get("volumes") or []
    return [one for one in volumes if (one.get("ephemeral") or {}).get("volumeClaimTemplate")]


def _if_it_asks(pod: Object) -> Iterable[ObjectKey]:
    return (key_of(pod),) if _asked(pod) and not is_deleting(pod) else ()


def _pod_of(claim: Object) -> Iterable[ObjectKey]:
    owner = owners.controller_of(claim)
    if owner is None or owner.get("kind") != "Pod":
        return ()
    return (ObjectKey(namespace_of(claim), owner["name"]),)
