"""One device of a ResourceSlice: its attributes, capacities and taints.

Source: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/resource-slice-v1/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from kubarium.apimachinery import time
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


def find(slices: Iterable[Object], name: str) -> Object:
    """The device of this name in the newest generation of its pool; nothing when it is not there."""
    known = list(slices)
    newest = max((_generation(piece) for piece in known), default=0)
    for piece in known:
        if _generation(piece) == newest:
            for device in (piece.get("spec") or {}).get("devices") or ():
                if device.get("name") == name:
                    found: Object = device
                    return found
    return {}


def no_execute(device: Object) -> list[Object]:
    """The taints that drive pods away."""
    return [taint for taint in device.get("taints") or () if taint.get("effect") == "NoExecute"]


def end_of_patience(taint: Object, tolerations: Iterable[Object], now: datetime) -> datetime | None:
    """Until when a device with this taint may be used; None: for ever. Without a time the taint is new."""
    since = time.parse_time(taint["timeAdded"]) if taint.get("timeAdded") else now
    matching = [one for one in tolerations if tolerates(one, taint)]
    if not matching:
        return since
    limits = [one["tolerationSeconds"] for one in matching if one.get("tolerationSeconds") is not None]
    return since + timedelta(seconds=max(0, min(limits))) if limits else None


def _generation(piece: Object) -> int:
    return int(((piece.get("spec") or {}).get("pool") or {}).get("generation") or 0)
