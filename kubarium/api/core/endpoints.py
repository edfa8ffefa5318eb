"""`Endpoints`: the older flat form of EndpointSlice."""

from __future__ import annotations

from kubarium.api.core.service import PROTOCOLS
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import FieldError, FieldPath, required
from kubarium.apimachinery.object import Object


def fill_defaults(endpoints: Object) -> None:
    """Ports speak TCP."""
    for subset in endpoints.get("subsets") or []:
        for port in subset.get("ports") or []:
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def validate(endpoints: Object) -> list[FieldError]:
    """Every subset has addresses, and every address and port is one."""
    found: list[FieldError] = []
    for index, subset in enumerate(endpoints.get("subsets") or []):
        path = FieldPath("subsets") % index
        addresses, waiting = subset.get("addresses") or [], subset.get("notReadyAddresses") or []
        if not addresses and not waiting:
            found.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for field, listed in (("addresses", addresses), ("notReadyAddresses", waiting)):
            for number, address in enumerate(listed):
                found += _address(address, (path / field) % number)
        ports = subset.get("ports") or []
        for number, port in enumerate(ports):
            found += _port(port, (path / "ports") % number, len(ports) > 1)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def _address(address: Object, path: FieldPath) -> list[FieldError]:
    # Unlike upstream, 127.0.0.1 may serve: in a cluster on one machine that needs no root it is all there is.
    return [
        *rules.reachable_address(path / "ip", (address or {}).get("ip") or "", here=True),
        *rules.if_named(path / "hostname", address.get("hostname"), names.dns_label_errors),
        *rules.if_given(path / "nodeName", address.get("nodeName"), names.dns_subdomain_errors),
    ]


def _port(port: Object, path: FieldPath, several: bool) -> list[FieldError]:
    name_rule = rules.named if several else rules.if_named
    return [
        *name_rule(path / "name", port.get("name"), names.dns_label_errors),
        *rules.port_number(path / "port", port.get("port")),
        *rules.one_of(path / "protocol", port.get("protocol"), PROTOCOLS),
        *rules.if_given(path / "appProtocol", port.get("appProtocol"), names.qualified_name_errors),
    ]
