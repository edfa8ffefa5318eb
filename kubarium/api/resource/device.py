"""One device of a ResourceSlice: its attributes, capacities and taints.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-slice-v1/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kubarium.apimachinery.object import Object

KEEPING_AWAY = ("NoSchedule", "NoExecute")


def qualified(name: str, driver: str) -> str:
    """`domain/name`; without a domain the name is the driver's own."""
    return name if "/" in name else f"{driver}/{name}"


def value_of(attribute: Object) -> tuple[str, Any] | None:
    """Type and value of a `DeviceAttribute`; values of different types are never the same."""
    for kind in ("string", "bool", "int", "version"):
        if attribute.get(kind) is not None:
            return kind, attribute[kind]
    return None


def attribute_of(device: Object, driver: str, name: str) -> tuple[str, Any] | None:
    """The attribute under a fully qualified name, or None."""
    attributes = device.get("attributes") or {}
    found = attributes.get(name)
    if found is None:
        domain, _, identifier = name.partition("/")
        found = attributes.get(identifier) if domain == driver else None
    return None if found is None else value_of(found)


def tolerates(toleration: Object, taint: Object) -> bool:
    """Does one toleration cover one taint?"""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    match toleration.get("operator") or "Equal":
        case "Exists":
            return True
        case "Equal":
            return bool(toleration.get("key")) and (toleration.get("value") or "") == (
                taint.get("value") or ""
            )
        case _:
            return False


def keeps_away(taints: Iterable[Object], tolerations: Iterable[Object]) -> bool:
    """Is there a taint that forbids a new allocation?"""
    known = list(tolerations)
    return any(
        taint.get("effect") in KEEPING_AWAY and not any(tolerates(one, taint) for one in known)
        for taint in taints
    )
