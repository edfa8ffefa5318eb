"""What is promised: the ports of Services, and which of them changed."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.api.core import service as noun
from kubarium.apimachinery.object import Object, ObjectKey, key_of
from kube_proxy.family import IPV4, Family, family_of


@dataclass(frozen=True, slots=True, order=True)
class PortName:
    """Which port of which Service: `default/web:http`."""

    namespace: str
    service: str
    port: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.service}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One promise: traffic to these addresses reaches a ready endpoint."""

    name: PortName
    cluster_ip: str
    port: int
    node_port: int = 0
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    affinity_seconds: int = 0  # 0: none
    internal_local: bool = False  # only endpoints of this node, for traffic from inside the cluster
    external_local: bool = False  # the same for traffic from outside
    health_check_node_port: int = 0

    @property
    def family(self) -> Family:
        """A Service with two addresses makes two promises of each port."""
        return family_of(self.cluster_ip)


def ports_of(service: Object, family: Family = IPV4) -> tuple[ServicePort, ...]:
    """The promises of one Service in one family; none for headless ones and ExternalNames."""
    if not noun.has_cluster_ip(service):
        return ()
    spec = noun.spec_of(service)
    key = key_of(service)
    affinity = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return tuple(
        ServicePort(
            name=PortName(key.namespace, key.name, port.get("name") or "", port.get("protocol") or "TCP"),
            cluster_ip=address,
            port=port["port"],
            node_port=port.get("nodePort") or 0,
            external_ips=family.of(spec.get("externalIPs") or ()),
            load_balancer_ips=family.of(_ingress_ips(service)),
            source_ranges=family.of(spec.get("loadBalancerSourceRanges") or ()),
            affinity_seconds=affinity.get("timeoutSeconds", 10800)
            if spec.get("sessionAffinity") == "ClientIP"
            else 0,
            internal_local=spec.get("internalTrafficPolicy") == "Local",
            external_local=spec.get("externalTrafficPolicy") == "Local",
            health_check_node_port=spec.get("healthCheckNodePort") or 0,
        )
        for address in family.of(noun.cluster_ips_of(service))
        for port in noun.ports_of(service)
    )


def _ingress_ips(service: Object) -> tuple[str, ...]:
    balancer = (service.get("status") or {}).get("loadBalancer") or {}
    found = [i for i in balancer.get("ingress") or [] if i.get("ip") and i.get("ipMode") != "Proxy"]
    return tuple(ingress["ip"] for ingress in found)


class ServiceTracker:
    """All promises, as the API server last told them."""

    def __init__(self, family: Family = IPV4) -> None:
        self._family = family
        self._ports: dict[ObjectKey, tuple[ServicePort, ...]] = {}

    def put(self, service: Object) -> bool:
        """Remember a Service; True if its promises changed."""
        ports = ports_of(service, self._family)
        key = key_of(service)
        if self._ports.get(key, ()) == ports:
            return False
        self._ports[key] = ports
        return True

    def remove(self, service: Object) -> bool:
        """Forget a Service; True if it had promised anything."""
        return bool(self._ports.pop(key_of(service), ()))

    def all(self) -> list[ServicePort]:
        """Every promise, in a stable order."""
        return sorted((port for ports in self._ports.values() for port in ports), key=lambda port: port.name)
