"""What exists: Services by name and address, endpoints by Service. Kept by informers, read by `answer.py`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kubarium.api.core import service as services
from kubarium.api.discovery.endpoint_slice import service_of
from kubarium.apimachinery.object import Object, ObjectKey, key_of, namespace_of


@dataclass(frozen=True, slots=True)
class Port:
    """A port with the name that SRV records use."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint of a headless Service: its address and its own name below the Service's."""

    address: str
    host: str
    ports: tuple[Port, ...]


@dataclass
class Zone:
    """The cluster as DNS sees it."""

    domain: str
    services: dict[ObjectKey, Object] = field(default_factory=dict)
    by_address: dict[str, ObjectKey] = field(default_factory=dict)
    namespaces: set[str] = field(default_factory=set)
    generation: int = 1  # counts changes: cached answers of older generations are stale
    _slices: dict[ObjectKey, dict[str, tuple[Target, ...]]] = field(default_factory=dict)
    _owners: dict[str, dict[ObjectKey, int]] = field(
        default_factory=dict
    )  # address -> in how many slices of whom

    def put_service(self, service: Object) -> None:
        """A Service appeared or changed."""
        self.remove_service(service)
        key = key_of(service)
        self.services[key] = service
        for address in services.cluster_ips_of(service):
            self.by_address[address] = key

    def remove_service(self, service: Object) -> None:
        """A Service is gone."""
        key = key_of(service)
        old = self.services.pop(key, None)
        for address in services.cluster_ips_of(old) if old is not None else ():
            self.by_address.pop(address, None)
        self.generation += 1

    def put_namespace(self, namespace: Object) -> None:
        """A namespace appeared."""
        self.namespaces.add(namespace["metadata"]["name"])
        self.generation += 1

    def remove_namespace(self, namespace: Object) -> None:
        """A namespace is gone."""
        self.namespaces.discard(namespace["metadata"]["name"])
        self.generation += 1

    def put_slice(self, slice_: Object) -> None:
        """An EndpointSlice appeared or changed."""
        owner = ObjectKey(namespace_of(slice_), service_of(slice_))
        targets = tuple(_targets(slice_))
        if self._slices.get(owner, {}).get(key_of(slice_).name) == targets:
            return
        self.remove_slice(slice_)
        self._slices.setdefault(owner, {})[key_of(slice_).name] = targets
        for target in targets:
            owners = self._owners.setdefault(target.address, {})
            owners[owner] = owners.get(owner, 0) + 1

    def replace_slice(self, old: Object, new: Object) -> None:
        """An EndpointSlice changed; perhaps it went to another Service."""
        if service_of(old) != service_of(new):
            self.remove_slice(old)
        self.put_slice(new)

    def remove_slice(self, slice_: Object) -> None:
        """An EndpointSlice is gone."""
        owner = ObjectKey(namespace_of(slice_), service_of(slice_))
        for target in self._slices.get(owner, {}).pop(key_of(slice_).name, ()):
            owners = self._owners[target.address]
            owners[owner] -= 1
            if not owners[owner]:
                del owners[owner]
            if not owners:
                del self._owners[target.address]
        if not self._slices.get(owner, True):
            del self._slices[owner]
        self.generation += 1

    def targets(self, key: ObjectKey) -> list[Target]:
        """The ready endpoints of a Service."""
        found = {(t.address, t.host, t.ports): t for part in self._slices.get(key, {}).values() for t in part}
        return list(found.values())

    def host_names(self, address: str) -> list[str]:
        """The names below headless Services that an address has; for reverse lookups."""
        found = {
            f"{target.host}.{key.name}.{key.namespace}.svc.{self.domain}."
            for key in self._owners.get(address, ())
            if key in self.services and services.is_headless(self.services[key])
            for targets in self._slices[key].values()
            for target in targets
            if target.address == address
        }
        return sorted(found)


def ports_of(service: Object) -> list[Port]:
    """The named ports of a Service."""
    return [
        Port(p.get("name") or "", (p.get("protocol") or "TCP").lower(), p["port"])
        for p in services.ports_of(service)
    ]


def _targets(slice_: Object) -> Iterable[Target]:
    if slice_.get("addressType") not in ("IPv4", "IPv6"):
        return
    ports = tuple(
        Port(port.get("name") or "", (port.get("protocol") or "TCP").lower(), port.get("port") or 0)
        for port in slice_.get("ports") or []
    )
    for endpoint in slice_.get("endpoints") or []:
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for address in endpoint.get("addresses") or []:
            host = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
            yield Target(address, host, ports)
