"""How much of a shared device one allocation takes.

Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/5075-dra-consumable-capacity
"""

from __future__ import annotations

from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object
from scheduler.framework.devices.asks import Ask
from scheduler.framework.devices.inventory import Device


def offers(device: Device, ask: Ask) -> bool:
    """Is the device large enough, were it free?"""
    return _known(device, ask) and all(
        wanted is None or wanted <= quantity.parse(entry["value"]).nano
        for _, entry, wanted in _each(device, ask)
    )


def consumption(device: Device, ask: Ask) -> dict[str, int] | None:
    """What an ask takes of a shared device, by capacity; None where its policy does not allow that amount."""
    found = {}
    for name, entry, wanted in _each(device, ask):
        taken = _taken(entry, wanted)
        if taken is None:
            return None
        found[name] = taken
    return found if _known(device, ask) else None


def texts(device: Device, consumed: dict[str, int]) -> dict[str, str]:
    """The amounts as they are written into an allocation, in the suffixes of the device."""
    capacity = device.spec.get("capacity") or {}
    return {
        name: str(quantity.parse(capacity[name]["value"])._replace(nano=nano))
        for name, nano in consumed.items()
    }


def _known(device: Device, ask: Ask) -> bool:
    """Has the device every capacity that is asked for?"""
    return sum(1 for _, _, wanted in _each(device, ask) if wanted is not None) == len(ask.capacity)


def _each(device: Device, ask: Ask) -> list[tuple[str, Object, int | None]]:
    capacity = device.spec.get("capacity") or {}
    return [(name, entry, ask.wanted(name, device.key.driver)) for name, entry in capacity.items()]


def _taken(entry: Object, wanted: int | None) -> int | None:
    policy = entry.get("requestPolicy") or {}
    whole = quantity.parse(entry["value"]).nano
    if wanted is None:
        return quantity.parse(policy["default"]).nano if policy.get("default") is not None else whole
    if wanted > whole:
        return None
    if policy.get("validValues"):
        values = sorted(quantity.parse(text).nano for text in policy["validValues"])
        return next((value for value in values if value >= wanted), None)
    if policy.get("validRange"):
        return _in_range(policy["validRange"], wanted, whole)
    return wanted


def _in_range(valid: Object, wanted: int, whole: int) -> int | None:
    """Up to the least, then up to the next step, but never beyond the most."""
    least = quantity.parse(valid["min"]).nano
    most = quantity.parse(valid["max"]).nano if valid.get("max") is not None else whole
    taken = max(wanted, least)
    if valid.get("step") is not None:
        step = quantity.parse(valid["step"]).nano
        taken = least + -(-(taken - least) // step) * step
    return taken if taken <= most else None
