"""Hand-made Endpoints → slices, so that whoever reads only slices sees them too.

Only for Services without a selector; Endpoints that a controller made for itself (leader election) are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.discovery import endpoint_slice as slices
from kubarium.api.discovery import port_order
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
NOT_MIRRORED = {"kubectl.kubernetes.io/last-applied-configuration", slices.LAST_CHANGE}
_COPIED = ("labels", "annotations")


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
            self._tell_of_skipped(endpoints)
        await self._carry_out(existing, wanted)

    def _tell_of_skipped(self, endpoints: Object) -> None:
        sizes = [len(_entries(subset)) for subset in endpoints.get("subsets") or []]
        if skipped := sum(max(0, size - self.limit) for size in sizes):
            text = f"A max of {self.limit} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            text += f"{skipped} addresses were skipped"
            self.events.event(endpoints, "Warning", "TooManyAddressesToMirror", text)

    async def _carry_out(self, existing: list[Object], wanted: list[Object]) -> None:
        for new in wanted:
            old = next((one for one in existing if _same_place(one, new)), None)
            if old is None:
                await self.resource.create(new)
                continue
            existing.remove(old)
            if old.get("endpoints") != new["endpoints"] or any(
                (old["metadata"].get(field) or {}) != new["metadata"][field] for field in _COPIED
            ):
                changed = copy(old)
                changed |= {"endpoints": new["endpoints"], "ports": new["ports"]}
                changed["metadata"] |= {field: new["metadata"][field] for field in _COPIED}
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
    """One slice for each set of ports and address family."""
    found: dict[tuple[str, bytes], Object] = {}
    for subset in endpoints.get("subsets") or []:
        ports = port_order.in_slice([_port(port) for port in subset.get("ports") or []])
        for address, ready in _entries(subset)[:limit]:
            family = slices.address_type_of(address["ip"])
            key = (family, slices.ports_key(ports))
            if key not in found:
                found[key] = _slice(endpoints, ports, family)
            found[key]["endpoints"].append(_endpoint(address, ready))
    return list(found.values())


def _entries(subset: Object) -> list[tuple[Object, bool]]:
    """Addresses, and whether they are ready."""
    entries = [(one, True) for one in subset.get("addresses") or []]
    return entries + [(one, False) for one in subset.get("notReadyAddresses") or []]


def _port(port: Object) -> Object:
    found = {"name": port.get("name") or "", "protocol": port.get("protocol") or "TCP", "port": port["port"]}
    return found | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})


def _endpoint(address: Object, ready: bool) -> Object:
    endpoint: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("targetRef", "nodeName", "hostname"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _slice(endpoints: Object, ports: list[Object], family: str) -> Object:
    labels = {
        **labels_of(endpoints),
        slices.SERVICE_NAME: name_of(endpoints),
        slices.MANAGED_BY: slices.MIRRORING_CONTROLLER,
    }
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key not in NOT_MIRRORED}
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
        "endpoints": [],
        "ports": ports,
    }


def _same_place(old: Object, new: Object) -> bool:
    same_ports = slices.ports_key(old.get("ports")) == slices.ports_key(new.get("ports"))
    return same_ports and old.get("addressType") == new.get("addressType")


def _mirrored_from(one: Object) -> Iterable[ObjectKey]:
    if labels_of(one).get(slices.MANAGED_BY) != slices.MIRRORING_CONTROLLER:
        return ()
    return (ObjectKey(namespace_of(one), slices.service_of(one)),)
