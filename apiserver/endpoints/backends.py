"""How to reach what stands behind an object: a node's kubelet, a pod, a ready endpoint of a service."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace

from apiserver.endpoints.proxying import open_session
from apiserver.registry.store import Registry
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, spec_of, status_of
from kubarium.client.lean_aiohttp import aiohttp

KUBELET_PORT = 10250


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect, and how."""

    scheme: str
    host: str
    port: int
    is_kubelet: bool = False

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


class Backends:
    """Finds places and keeps connections to them."""

    def __init__(
        self,
        registry: Registry,
        *,
        kubelet_certificate: str = "",
        kubelet_key: str = "",
        kubelet_authority: str = "",
        address_types: Sequence[str] = ("InternalIP", "Hostname", "ExternalIP"),
    ) -> None:
        self._registry = registry
        self._address_types = tuple(address_types)
        self.anyone_tls = _trusting()
        self.kubelet_tls = _trusting()
        if kubelet_authority:
            self.kubelet_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.kubelet_tls.load_verify_locations(kubelet_authority)
        if kubelet_certificate:
            self.kubelet_tls.load_cert_chain(kubelet_certificate, kubelet_key)
        self._clients: dict[bool, aiohttp.ClientSession] = {}

    def client(self, place: Place) -> aiohttp.ClientSession:
        """A connection pool: one for kubelets, with our certificate; one for everything else."""
        client = self._clients.get(place.is_kubelet)
        if client is None:
            client = self._clients[place.is_kubelet] = open_session(self.tls(place))
        return client

    def tls(self, place: Place) -> ssl.SSLContext:
        """Whom we trust there. Proxied pods and services are not verified, as upstream does not either."""
        return self.kubelet_tls if place.is_kubelet else self.anyone_tls

    async def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            await client.close()

    async def kubelet(self, node_name: str, port: int = 0) -> Place:
        """The kubelet of a node."""
        row = self._registry.resources("", "nodes")
        node = (await self._registry.get(row, "", node_name)).obj
        endpoints = status_of(node).get("daemonEndpoints") or {}
        own = (endpoints.get("kubeletEndpoint") or {}).get("Port") or KUBELET_PORT
        return Place("https", self._address_of(node), port or own, is_kubelet=not port or port == own)

    def _address_of(self, node: Object) -> str:
        addresses = status_of(node).get("addresses") or ()
        for wanted in self._address_types:
            for address in addresses:
                if address.get("type") == wanted and address.get("address"):
                    found: str = address["address"]
                    return found
        shown = ", ".join(self._address_types)
        raise errors.InternalError.because(
            f"no preferred addresses found; known addresses: {addresses} ({shown})"
        )

    async def pod(self, namespace: str, name: str) -> Object:
        """The pod that a stream is for."""
        row = self._registry.resources("", "pods")
        return (await self._registry.get(row, namespace, name)).obj

    async def proxied(self, plural: str, namespace: str, name: str) -> Place:
        """What `[scheme:]name[:port]` of a proxy request means."""
        scheme, name, port = split_name(name)
        if plural == "nodes":
            place = await self.kubelet(name, int(port) if port.isdigit() else 0)
            return place if place.is_kubelet else replace(place, scheme=scheme)
        if plural == "pods":
            return _place_of_pod(await self.pod(namespace, name), scheme, port)
        return await self._place_of_service(namespace, name, scheme, port)

    async def _place_of_service(self, namespace: str, name: str, scheme: str, port: str) -> Place:
        row = self._registry.resources("", "services")
        service = (await self._registry.get(row, namespace, name)).obj
        port_name = _service_port(service, port)
        slices = self._registry.resources("discovery.k8s.io", "endpointslices")
        page = await self._registry.storage.list(slices.list_prefix(namespace), minimum_revision=0)
        found = []
        for item in page.items:
            if item.labels.get("kubernetes.io/service-name") != name:
                continue
            endpoint_slice = item.obj
            number = _slice_port(endpoint_slice, port_name)
            for endpoint in endpoint_slice.get("endpoints") or () if number else ():
                if (endpoint.get("conditions") or {}).get("ready") is not False:
                    found += [(address, number) for address in endpoint.get("addresses") or ()]
        if not found:
            text = f'no endpoints available for service "{name}"'
            raise errors.ServiceUnavailable(text)
        address, number = random.choice(found)
        return Place(scheme, address, number)


def split_name(text: str) -> tuple[str, str, str]:
    """`https:web:8443` -> scheme, name, port; scheme and port may be missing."""
    parts = text.split(":")
    if len(parts) == 1:
        return "http", text, ""
    if len(parts) == 2:
        return "http", parts[0], parts[1]
    if len(parts) == 3 and parts[0] in ("http", "https", ""):
        return parts[0] or "http", parts[1], parts[2]
    raise errors.BadRequest(f"invalid proxy request: {text}")


def _place_of_pod(pod: Object, scheme: str, port: str) -> Place:
    address = status_of(pod).get("podIP")
    if not address:
        raise errors.BadRequest("address not allowed")
    if not port:
        containers: list[Object] = spec_of(pod).get("containers") or []
        ports: list[Object] = [entry for container in containers for entry in container.get("ports") or ()]
        return Place(scheme, address, ports[0]["containerPort"] if ports else 80)
    if port.isdigit():
        return Place(scheme, address, int(port))
    for container in spec_of(pod).get("containers") or ():
        for entry in container.get("ports") or ():
            if entry.get("name") == port:
                return Place(scheme, address, entry["containerPort"])
    raise errors.BadRequest(f'invalid pod proxy request "{name_of(pod)}:{port}"')


def _service_port(service: Object, port: str) -> str:
    """The name of the service's port that is meant; the only one may be left out."""
    ports: list[Object] = spec_of(service).get("ports") or []
    if not port and len(ports) == 1:
        return ports[0].get("name") or ""
    for entry in ports:
        if port in (entry.get("name") or "", str(entry.get("port"))):
            return entry.get("name") or ""
    raise errors.ServiceUnavailable(f'no service port "{port}" found for service "{name_of(service)}"')


def _slice_port(slice_: Object, name: str) -> int:
    return next(
        (port.get("port") or 0 for port in slice_.get("ports") or () if (port.get("name") or "") == name), 0
    )


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # without the machine's authorities: they take 70 ms to load
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
