"""What absent fields of an EndpointSlice mean, and what makes one invalid."""

from __future__ import annotations

from kubarium.api.core.service import PROTOCOLS
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    immutable,
    invalid,
    required,
    too_many,
)
from kubarium.apimachinery.metadata import validate_labels
from kubarium.apimachinery.object import Object

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MAX_ADDRESSES, MAX_ENDPOINTS, MAX_PORTS, MAX_TOPOLOGY, MAX_HINTS = 100, 1000, 20000, 16, 8


def fill_defaults(slice_: Object) -> None:
    """Ports have an empty name and are TCP."""
    for port in slice_.get("ports") or []:
        if port.get("name") is None:
            port["name"] = ""
        if not port.get("protocol"):
            port["protocol"] = "TCP"


def validate(slice_: Object) -> list[FieldError]:
    """Addresses of the stated type, not too many of anything, every port once."""
    family = slice_.get("addressType") or ""
    found = rules.one_of(ROOT / "addressType", family, ADDRESS_TYPES)
    found += _endpoints(slice_.get("endpoints") or [], family, ROOT / "endpoints")
    return found + _ports(slice_.get("ports") or [], ROOT / "ports")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The type of the addresses stays."""
    stays = immutable(ROOT / "addressType", new.get("addressType"), old.get("addressType"))
    return validate(new) + stays


def _endpoints(endpoints: list[Object], family: str, path: FieldPath) -> list[FieldError]:
    if len(endpoints) > MAX_ENDPOINTS:
        return [too_many(path, len(endpoints), MAX_ENDPOINTS)]
    found: list[FieldError] = []
    for index, endpoint in enumerate(endpoints):
        at = path % index
        addresses = endpoint.get("addresses") or []
        if not addresses:
            found.append(required(at / "addresses", "must contain at least 1 address"))
        elif len(addresses) > MAX_ADDRESSES:
            found.append(too_many(at / "addresses", len(addresses), MAX_ADDRESSES))
        for number, address in enumerate(addresses):
            found += _address((at / "addresses") % number, address, family)
        found += rules.if_named(at / "nodeName", endpoint.get("nodeName"), names.dns_subdomain_errors)
        topology = endpoint.get("deprecatedTopology") or {}
        if len(topology) > MAX_TOPOLOGY:
            found.append(too_many(at / "deprecatedTopology", len(topology), MAX_TOPOLOGY))
        if topology:
            found += validate_labels(topology, at / "deprecatedTopology")
        if endpoint.get("hostname") is not None:
            host = endpoint["hostname"]
            found += [invalid(at / "hostname", host, text) for text in names.dns_label_errors(host)]
        if endpoint.get("hints"):
            found += _hints(endpoint["hints"], at / "hints")
    return found


def _address(path: FieldPath, address: str, family: str) -> list[FieldError]:
    if family in ("IPv4", "IPv6"):  # 127.0.0.1 may serve, as in Endpoints
        return rules.address_of(path, address, family) or rules.reachable_address(path, address, here=True)
    if family != "FQDN":
        return []
    host = address.removesuffix(".")
    found = rules.named(path, host, names.dns_subdomain_errors)
    if not found and "." not in host:
        found.append(invalid(path, host, "should be a domain with at least two segments separated by dots"))
    return found


def _hints(hints: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for field in ("forZones", "forNodes"):
        listed = hints.get(field) or []
        if len(listed) > MAX_HINTS:
            found.append(too_many(path / field, len(listed), MAX_HINTS))
            continue
        seen: set[str] = set()
        for index, hint in enumerate(listed):
            at = (path / field) % index / "name"
            name = hint.get("name") or ""
            rule = names.label_value_errors if field == "forZones" else names.dns_subdomain_errors
            found += rules.named(at, name, rule)
            if name in seen:
                found.append(duplicate(at, name))
            seen.add(name)
    return found


def _ports(ports: list[Object], path: FieldPath) -> list[FieldError]:
    if len(ports) > MAX_PORTS:
        return [too_many(path, len(ports), MAX_PORTS)]
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = path % index
        name = port.get("name") or ""
        found += rules.if_named(at / "name", name, names.dns_label_errors)
        if name in seen:
            found.append(duplicate(at / "name", name))
        seen.add(name)
        found += rules.one_of(at / "protocol", port.get("protocol"), PROTOCOLS)
        found += rules.if_named(at / "appProtocol", port.get("appProtocol"), names.qualified_name_errors)
    return found
