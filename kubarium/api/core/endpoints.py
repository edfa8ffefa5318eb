"""`Endpoints`: the older flat form of EndpointSlice."""

from __future__ import annotations

from kubarium.api.core.service import ip_errors, port_number_errors
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
                found += ip_errors((path / field) % number / "ip", address.get("ip") or "")
        for number, port in enumerate(subset.get("ports") or []):
            found += port_number_errors((path / "ports") % number / "port", port.get("port"))
    return found
