"""Who can keep the promises: endpoints from EndpointSlices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kubarium.api.discovery.endpoint_slice import service_of
from kubarium.apimachinery.object import Object, ObjectKey, key_of, namespace_of
from kube_proxy.family import IPV4, Family, family_of
from kube_proxy.services import PortName


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One place that serves, and in which state it is."""

    ip: str
    port: int
    node: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    zone_hints: tuple[str, ...] = ()
    node_hints: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """`10.244.1.7:8080` or `[fd00::7]:8080`."""
        return family_of(self.ip).host_port(self.ip, self.port)


def endpoints_of(slice_: Object, family: Family = IPV4) -> dict[PortName, tuple[Endpoint, ...]]:
    """The endpoints in one slice, by port of their Service; none if it is of another family."""
    service = service_of(slice_)
    if not service or slice_.get("addressType") != family.name:
        return {}
    found = {}
    for port in slice_.get("ports") or []:
        if not port.get("port"):
            continue
        name = PortName(namespace_of(slice_), service, port.get("name") or "", port.get("protocol") or "TCP")
        found[name] = tuple(
            _endpoint(each, port["port"]) for each in slice_.get("endpoints") or [] if each.get("addresses")
        )
    return found


def _endpoint(endpoint: Object, port: int) -> Endpoint:
    conditions = endpoint.get("conditions") or {}
    hints = endpoint.get("hints") or {}
    ready = conditions.get("ready") is not False
    return Endpoint(
        ip=endpoint["addresses"][0],
        port=port,
        node=endpoint.get("nodeName") or "",
        ready=ready,
        serving=ready if conditions.get("serving") is None else bool(conditions["serving"]),
        terminating=bool(conditions.get("terminating")),
        zone_hints=tuple(zone["name"] for zone in hints.get("forZones") or []),
        node_hints=tuple(node["name"] for node in hints.get("forNodes") or []),
    )


class EndpointTracker:
    """All endpoints, as the API server last told them; those of a port are merged again only after a change."""

    def __init__(self, family: Family = IPV4) -> None:
        self._family = family
        self._slices: dict[ObjectKey, dict[PortName, tuple[Endpoint, ...]]] = {}
        self._of_port: dict[PortName, dict[ObjectKey, tuple[Endpoint, ...]]] = {}
        self._merged: dict[PortName, tuple[Endpoint, ...]] = {}

    def put(self, slice_: Object) -> bool:
        """Remember a slice; True if its endpoints changed."""
        return self._replace(key_of(slice_), endpoints_of(slice_, self._family))

    def remove(self, slice_: Object) -> bool:
        """Forget a slice; True if it had any endpoint."""
        return self._replace(key_of(slice_), {})

    def _replace(self, key: ObjectKey, found: dict[PortName, tuple[Endpoint, ...]]) -> bool:
        before = self._slices.pop(key, {})
        if found:
            self._slices[key] = found
        for name in before.keys() | found.keys():
            parts = self._of_port.setdefault(name, {})
            parts.pop(key, None)
            if name in found:
                parts[key] = found[name]
            if not parts:
                del self._of_port[name]
            self._merged.pop(name, None)
        return before != found

    def all(self) -> dict[PortName, tuple[Endpoint, ...]]:
        """Every endpoint by port, sorted; an address that stands in two slices counts once, ready wins."""
        for name in self._of_port.keys() - self._merged.keys():
            self._merged[name] = _merge(self._of_port[name].values())
        return self._merged


def _merge(parts: Iterable[tuple[Endpoint, ...]]) -> tuple[Endpoint, ...]:
    best: dict[str, Endpoint] = {}
    for endpoint in (endpoint for part in parts for endpoint in part):
        other = best.get(endpoint.address)
        if other is None or endpoint.ready > other.ready:
            best[endpoint.address] = endpoint
    return tuple(sorted(best.values()))
