"""Hand-made Endpoints → slices, so that whoever reads only slices sees them too.

Only for Services without a selector; Endpoints that a controller made for itself (leader election) are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.discovery import endpoint_slice as slices
from kubarium.apimachinery import errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

LEADER = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class EndpointSliceMirroringController(Controller):
    """Keeps slices that say the same as an Endpoints object."""

    name = "endpointslice-mirroring-controller"
    queue_name = "endpoint_slice_mirroring"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        workers: int = 5,
        limit: int = 1000,
        batch_period: float = 0.0,
    ) -> None:
        self.workers, self.events, self.limit, self.batch_period = workers, events, limit, batch_period
        self.endpoints = informers.informer("v1", "endpoints").lister
        self.services = informers.informer("v1", "services").lister
        informer = informers.informer("discovery.k8s.io/v1", "endpointslices")
        informer.add_index("service", lambda one: [f"{namespace_of(one)}/{slices.service_of(one)}"])
        self.slices = informer.lister
        self.resource = client.resource("discovery.k8s.io/v1", "endpointslices")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "endpoints", delay=self.batch_period),
            Watch("v1", "services"),
            Watch("discovery.k8s.io/v1", "endpointslices", keys=_mirrored_from),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        endpoints, service = self.endpoints.get(key), self.services.get(key)
        existing = [
            one
            for one in self.slices.by_index("service", str(key))
            if labels_of(one).get(slices.MANAGED_BY) == slices.MIRRORING_CONTROLLER and not is_deleting(one)
        ]
        wanted: list[Object] = []
        if endpoints is not None and service is not None and should_mirror(endpoints, service):
            wanted = slices_for(endpoints, self.limit)
        await self._carry_out(existing, wanted)

    async def _carry_out(self, existing: list[Object], wanted: list[Object]) -> None:
        for new in wanted:
            old = next((one for one in existing if _same_place(one, new)), None)
            if old is None:
                await self.resource.create(new)
                continue
            existing.remove(old)
            if any(old.get(field) != new.get(field) for field in ("endpoints", "ports")) or labels_of(
                old
            ) != labels_of(new):
                changed = copy(old)
                changed |= {"endpoints": new["endpoints"], "ports": new["ports"]}
                changed["metadata"]["labels"] = labels_of(new)
                await self.resource.update(changed)
        for old in existing:
            try:
                await self.resource.delete(name_of(old), namespace_of(old))
            except errors.NotFound:
                continue


def should_mirror(endpoints: Object, service: Object) -> bool:
    """Made by hand, for a Service that finds its pods in no other way."""
    if labels_of(endpoints).get(slices.SKIP_MIRROR) == "true" or LEADER in annotations_of(endpoints):
        return False
    return not is_deleting(endpoints) and not spec_of(service).get("selector")


def slices_for(endpoints: Object, limit: int) -> list[Object]:
    """One slice for each subset and address family."""
    found = []
    for subset in endpoints.get("subsets") or []:
        by_family: dict[str, list[Object]] = {}
        entries = [(one, True) for one in subset.get("addresses") or []]
        entries += [(one, False) for one in subset.get("notReadyAddresses") or []]
        for address, ready in entries[:limit]:
            family = slices.address_type_of(address["ip"])
            by_family.setdefault(family, []).append(_endpoint(address, ready))
        for family, listed in by_family.items():
            found.append(_slice(endpoints, subset, family, listed))
    return found


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("targetRef", "nodeName", "hostname"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _slice(endpoints: Object, subset: Object, family: str, listed: list[Object]) -> Object:
    labels = {
        **labels_of(endpoints),
        slices.SERVICE_NAME: name_of(endpoints),
        slices.MANAGED_BY: slices.MIRRORING_CONTROLLER,
    }
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key != LAST_APPLIED}
    ports = [
        {
            "name": port.get("name") or "",
            "protocol": port.get("protocol") or "TCP",
            "port": port["port"],
            **({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}),
        }
        for port in subset.get("ports") or []
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name_of(endpoints)}-",
            "namespace": namespace_of(endpoints),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owners.owner_reference_to(endpoints, api_version="v1", kind="Endpoints")],
        },
        "addressType": family,
        "endpoints": listed,
        "ports": ports,
    }


def _same_place(old: Object, new: Object) -> bool:
    same_ports = slices.ports_key(old.get("ports")) == slices.ports_key(new.get("ports"))
    return same_ports and old.get("addressType") == new.get("addressType")


def _mirrored_from(one: Object) -> Iterable[ObjectKey]:
    if labels_of(one).get(slices.MANAGED_BY) != slices.MIRRORING_CONTROLLER:
        return ()
    return (ObjectKey(namespace_of(one), slices.service_of(one)),)
