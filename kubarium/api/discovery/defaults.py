"""What absent fields of an EndpointSlice mean."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def fill_defaults(slice_: Object) -> None:
    """Ports have an empty name and are TCP."""
    for port in slice_.get("ports") or []:
        if port.get("name") is None:
            port["name"] = ""
        if not port.get("protocol"):
            port["protocol"] = "TCP"
