"""The Service `default/kubernetes`, and behind it the addresses of all API servers that are alive.

Each API server renews a Lease in kube-system that carries its address; each writes the Endpoints and the EndpointSlice
from all Leases that are fresh. So a dead server's address goes after a while, and a stopped one's at once.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, annotations_of, name_of, spec_of
from kubarium.client.resource import ResourceClient
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

RENEW_SECONDS = 10.0
_EXPIRES_AFTER = timedelta(seconds=30)
_ADDRESS = "kubarium.io/advertise-address"
_IDENTITY = {"apiserver.kubernetes.io/identity": "kube-apiserver"}
_LEASE_SECONDS = 3600
_NAME, _NAMESPACE = "kubernetes", "default"


@dataclass
class KubernetesService:
    """Keeps the Service and its endpoints as they must be; one `renew` per period."""

    client: Client
    clock: Clock
    address: str
    port: int
    cluster_ip: str
    hostname: str
    service_port: int = 443
    node_port: int = 0  # 0: none
    _holder: str = field(default_factory=lambda: str(uuid.uuid4()))
    _written: list[str] | None = None

    @property
    def lease_name(self) -> str:
        """The name of this server's Lease."""
        return identity(self.hostname, self.address, self.port)

    async def renew(self) -> None:
        """Say that we are alive, and write down who is."""
        await self._renew_lease()
        await self._ensure_service()
        await self._write(await self._living())

    async def retire(self) -> None:
        """Take our address out before we stop."""
        leases = self.client.resource("coordination.k8s.io/v1", "leases")
        try:
            await leases.delete(self.lease_name, "kube-system")
        except errors.NotFound:
            return
        await self._write(await self._living())

    async def _renew_lease(self) -> None:
        leases = self.client.resource("coordination.k8s.io/v1", "leases")
        now = time.format_micro_time(self.clock.now())
        spec = {
            "holderIdentity": f"{self.lease_name}_{self._holder}",
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": now,
        }
        metadata: Object = {
            "labels": {**_IDENTITY, "kubernetes.io/hostname": self.hostname},
            "annotations": {_ADDRESS: self.address},
        }
        try:
            patch = {"metadata": metadata, "spec": spec}
            await leases.patch(self.lease_name, patch, "kube-system")
        except errors.NotFound:
            metadata |= {"name": self.lease_name, "namespace": "kube-system"}
            await leases.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
                                 "spec": spec})  # fmt: skip

    async def _living(self) -> list[str]:
        leases = self.client.resource("coordination.k8s.io/v1", "leases")
        selector = ",".join(f"{key}={value}" for key, value in _IDENTITY.items())
        found = await leases.list("kube-system", label_selector=selector)
        return sorted(set(self._fresh(found["items"])))

    def _fresh(self, leases: list[Object]) -> Iterator[str]:
        for lease in leases:
            address, renewed = annotations_of(lease).get(_ADDRESS), spec_of(lease).get("renewTime")
            if address and renewed and time.parse_time(renewed) + _EXPIRES_AFTER > self.clock.now():
                yield address

    async def _ensure_service(self) -> None:
        services = self.client.resource("v1", "services")
        port = {"name": "https", "port": self.service_port, "protocol": "TCP", "targetPort": self.port}
        ports = [port | {"nodePort": self.node_port} if self.node_port else port]
        try:
            found = await services.get(_NAME, _NAMESPACE)
        except errors.NotFound:
            await services.create(self._service(ports))
            return
        spec = spec_of(found)
        kept = [{key: port.get(key) for key in ports[0]} for port in spec.get("ports") or []]
        if kept != ports or spec.get("type") != self._type:
            await services.patch(_NAME, {"spec": {"type": self._type, "ports": ports}}, _NAMESPACE)

    @property
    def _type(self) -> str:
        return "NodePort" if self.node_port else "ClusterIP"

    def _service(self, ports: list[Object]) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": _NAME,
                "namespace": _NAMESPACE,
                "labels": {"component": "apiserver", "provider": "kubernetes"},
            },
            "spec": {
                "type": self._type,
                "clusterIP": self.cluster_ip,
                "clusterIPs": [self.cluster_ip],
                "ipFamilies": [_family(self.cluster_ip)],
                "ipFamilyPolicy": "SingleStack",
                "ports": ports,
                "sessionAffinity": "None",
            },
        }

    async def _write(self, addresses: list[str]) -> None:
        if addresses != self._written:
            log.info("API servers behind the Service kubernetes: %s", ", ".join(addresses) or "none")
            self._written = addresses
        port = {"name": "https", "port": self.port, "protocol": "TCP"}
        endpoints: Object = {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {
                "name": _NAME,
                "namespace": _NAMESPACE,
                "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
            },
            "subsets": [{"addresses": [{"ip": ip} for ip in addresses], "ports": [port]}]
            if addresses
            else [],
        }
        family = _family(addresses[0] if addresses else self.address)
        piece: Object = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": _NAME,
                "namespace": _NAMESPACE,
                "labels": {"kubernetes.io/service-name": _NAME},
            },
            "addressType": family,
            "endpoints": [{"addresses": [ip], "conditions": {"ready": True}} for ip in addresses],
            "ports": [port],
        }
        await _put(self.client.resource("v1", "endpoints"), endpoints, ("subsets",))
        await _put(
            self.client.resource("discovery.k8s.io/v1", "endpointslices"), piece, ("endpoints", "ports")
        )


async def _put(resource: ResourceClient, wanted: Object, fields: tuple[str, ...]) -> None:
    """Create, or change if one of the fields differs."""
    try:
        found = await resource.get(name_of(wanted), _NAMESPACE)
    except errors.NotFound:
        await resource.create(wanted)
        return
    if any((found.get(name) or []) != wanted[name] for name in fields):
        await resource.update({**found, **{name: wanted[name] for name in fields}})


def _family(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def identity(hostname: str, address: str, port: int) -> str:
    """What a server calls itself among its like; it stays the same through restarts."""
    seed = f"{hostname}/{address}:{port}"
    return "apiserver-" + hashlib.sha256(seed.encode()).hexdigest()[:26]
