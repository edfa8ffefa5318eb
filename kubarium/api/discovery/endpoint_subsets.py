"""The subsets of an `Endpoints` object: pods as addresses, grouped by the ports they serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from kubarium.api.core.pod import status as pod_status
from kubarium.api.discovery import endpoint_slice as slices
from kubarium.api.discovery import port_order
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of

OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
CONTROLLER = "endpoint-controller"
MAX_ADDRESSES = 1000


def address_for(pod: Object, service: Object, ip: str) -> Object:
    """The pod as an address."""
    address: Object = {"ip": ip}
    if hostname := slices.hostname_of(pod, service):
        address["hostname"] = hostname
    if node := spec_of(pod).get("nodeName"):
        address["nodeName"] = node
    address["targetRef"] = {
        "kind": "Pod",
        "namespace": namespace_of(pod),
        "name": name_of(pod),
        "uid": uid_of(pod),
    }
    return address


def subsets_for(service: Object, pods: Iterable[Object]) -> list[Object]:
    """Ports that the same addresses serve stand together with them, everything in upstream's order."""
    always = bool(spec_of(service).get("publishNotReadyAddresses"))
    family = slices.families_of(service)[0]
    without_ports = slices.is_headless(service) and not spec_of(service).get("ports")
    servers: dict[bytes, tuple[Object, Servers]] = {}
    for pod in pods:
        addresses = slices.addresses_of(pod, family)
        if not addresses or not slices.belongs(pod, terminating=always):
            continue
        ready = always or pod_status.is_ready(pod)
        address = address_for(pod, service, addresses[0])
        ports = [{k: v for k, v in port.items() if v != ""} for port in slices.ports_for(pod, service)]
        for port in [{}] if without_ports else ports:
            entry = servers.setdefault(orjson.dumps(port, option=orjson.OPT_SORT_KEYS), (port, {}))
            entry[1][_sort_key(address)] = (address, ready)
    return _packed(servers.values())


Servers = dict[tuple[str, str], tuple[Object, bool]]
"""Who serves a port, by address and uid, and whether he is ready."""


def _packed(servers: Iterable[tuple[Object, Servers]]) -> list[Object]:
    together: dict[tuple[object, ...], tuple[list[Object], Servers]] = {}
    for port, of_port in servers:
        key = tuple(sorted((*key, ready) for key, (_, ready) in of_port.items()))
        ports, _ = together.setdefault(key, ([], of_port))
        ports.extend([port] if port else [])
    return port_order.of_subsets([_subset(ports, of_port) for ports, of_port in together.values()])


def _subset(ports: Sequence[Object], servers: Servers) -> Object:
    listed = [servers[key] for key in sorted(servers)]
    found = {
        "addresses": [address for address, ready in listed if ready],
        "notReadyAddresses": [address for address, ready in listed if not ready],
        "ports": port_order.in_subset(ports),
    }
    return {field: value for field, value in found.items() if value}


def _sort_key(address: Object) -> tuple[str, str]:
    return address["ip"], (address.get("targetRef") or {}).get("uid") or ""


def truncate(subsets: Sequence[Object]) -> tuple[list[Object], bool]:
    """At most `MAX_ADDRESSES`, ready ones first; and whether any had to go."""
    found, room, cut = [], MAX_ADDRESSES, False
    for subset in subsets:
        kept = dict(subset)
        for part in ("addresses", "notReadyAddresses"):
            listed = subset.get(part) or []
            if len(listed) > room:
                cut = True
                kept[part] = listed[:room]
            room -= min(room, len(listed))
        found.append({key: value for key, value in kept.items() if value})
    return found, cut
