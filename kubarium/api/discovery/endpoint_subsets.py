"""The subsets of an `Endpoints` object: pods as addresses, grouped by the ports they serve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from kubarium.api.core.pod import status as pod_status
from kubarium.api.discovery import endpoint_slice as slices
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
    """Addresses with the same ports and readiness stand together, everything in a fixed order."""
    always = bool(spec_of(service).get("publishNotReadyAddresses"))
    family = slices.families_of(service)[0]
    by_ports: dict[bytes, tuple[list[Object], list[Object], list[Object]]] = {}
    for pod in pods:
        addresses = slices.addresses_of(pod, family)
        if not addresses or not slices.belongs(pod, terminating=always):
            continue
        ports = [{k: v for k, v in port.items() if v != ""} for port in slices.ports_for(pod, service)]
        if not ports and not slices.is_headless(service):
            continue
        entry = by_ports.setdefault(slices.ports_key(ports), (ports, [], []))
        ready = always or pod_status.is_ready(pod)
        entry[1 if ready else 2].append(address_for(pod, service, addresses[0]))
    return [_subset(*entry) for _, entry in sorted(by_ports.items())]


def _subset(ports: list[Object], ready: list[Object], not_ready: list[Object]) -> Object:
    found: Object = {}
    if ready:
        found["addresses"] = _sorted(ready)
    if not_ready:
        found["notReadyAddresses"] = _sorted(not_ready)
    if ports:
        found["ports"] = sorted(ports, key=lambda port: orjson.dumps([port.get("name"), port["port"]]))
    return found


def _sorted(addresses: Sequence[Object]) -> list[Object]:
    return sorted(addresses, key=lambda one: (one["ip"], (one.get("targetRef") or {}).get("uid") or ""))


def truncate(subsets: Sequence[Object], limit: int = MAX_ADDRESSES) -> tuple[list[Object], bool]:
    """At most `limit` addresses, ready ones first; and whether any had to go."""
    found, room, cut = [], limit, False
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
