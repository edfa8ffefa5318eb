"""Questions about the Node that the proxy runs on. Pure."""

from __future__ import annotations

from kubarium.apimachinery.object import Object


def pod_cidrs_of(node: Object) -> list[str]:
    """The ranges of the addresses of its pods."""
    spec = node.get("spec") or {}
    return list(spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else []))


def addresses_of(node: Object) -> list[str]:
    """The addresses by which the cluster knows it."""
    addresses = (node.get("status") or {}).get("addresses") or []
    return [a["address"] for a in addresses if a["type"] == "InternalIP"]


def reference_to(name: str) -> Object:
    """What an Event about it regards; upstream puts the name in place of the uid."""
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}
