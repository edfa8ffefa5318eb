"""ResourceSlice: the devices that a driver offers, a part of a pool at a time."""

from __future__ import annotations

from kubarium.api.resource.device_names import driver_errors, identifier_errors, pool_errors, qualified_errors
from kubarium.apimachinery import names, quantity, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    immutable,
    invalid,
    required,
    too_long,
    too_many,
)
from kubarium.apimachinery.object import Object

MOST_DEVICES = 128
MOST_ATTRIBUTES = 32  # attributes and capacities of one device together
MAX_TEXT = 64
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_VALUES = ("bool", "int", "string", "version")


def validate(piece: Object) -> list[FieldError]:
    """A driver, a pool, a place, and devices that are told apart."""
    spec = piece.get("spec") or {}
    found = driver_errors(SPEC / "driver", spec.get("driver"))
    found += _pool(spec.get("pool") or {}, SPEC / "pool")
    found += _place(spec)
    devices = spec.get("devices") or []
    if len(devices) > MOST_DEVICES:
        return [*found, too_many(SPEC / "devices", len(devices), MOST_DEVICES)]
    seen: set[str] = set()
    for index, device in enumerate(devices):
        at = SPEC / "devices" % index
        name = device.get("name") or ""
        found += rules.named(at / "name", name, names.dns_label_errors)
        if name in seen:
            found.append(duplicate(at / "name", name))
        seen.add(name)
        found += _device(device, at)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Driver, pool and node stay."""
    after, before = new.get("spec") or {}, old.get("spec") or {}
    found = validate(new)
    found += immutable(
        SPEC / "pool" / "name", (after.get("pool") or {}).get("name"), (before.get("pool") or {}).get("name")
    )
    for field in ("driver", "nodeName"):
        found += immutable(SPEC / field, after.get(field), before.get(field))
    return found


def stamp_taints(piece: Object, now: str) -> None:
    """Taints without a time have come now."""
    for device in (piece.get("spec") or {}).get("devices") or []:
        for taint in device.get("taints") or []:
            taint.setdefault("timeAdded", now)


def _pool(pool: Object, path: FieldPath) -> list[FieldError]:
    found = pool_errors(path / "name", pool.get("name"))
    if (pool.get("resourceSliceCount") or 0) <= 0:
        count = pool.get("resourceSliceCount") or 0
        found.append(invalid(path / "resourceSliceCount", count, "must be greater than zero"))
    return found + rules.not_negative(pool, path, "generation")


def _place(spec: Object) -> list[FieldError]:
    given = [field for field in _PLACES if spec.get(field)]
    shown = "`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`"
    if not given:
        return [required(SPEC, f"exactly one of {shown} is required")]
    if len(given) > 1:
        told = "{" + ", ".join(given) + "}"
        return [invalid(SPEC, told, f"exactly one of {shown} is required, but multiple fields are set")]
    return rules.if_named(SPEC / "nodeName", spec.get("nodeName"), names.dns_subdomain_errors)


def _device(device: Object, path: FieldPath) -> list[FieldError]:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    found: list[FieldError] = []
    if len(attributes) + len(capacity) > MOST_ATTRIBUTES:
        why = f"the total number of attributes and capacities must not exceed {MOST_ATTRIBUTES}"
        found.append(invalid(path, len(attributes) + len(capacity), why))
    for name, value in attributes.items():
        at = (path / "attributes").key(name)
        found += _name(at, name)
        found += _value(value or {}, at)
    for name, value in capacity.items():
        at = (path / "capacity").key(name)
        found += _name(at, name)
        if not quantity.is_quantity((value or {}).get("value")):
            found.append(required(at / "value"))
    return found


def _name(path: FieldPath, name: str) -> list[FieldError]:
    return qualified_errors(path, name) if "/" in name else identifier_errors(path, name)


def _value(value: Object, path: FieldPath) -> list[FieldError]:
    given = [kind for kind in _VALUES if value.get(kind) is not None]
    if not given:
        return [required(path, "exactly one value must be specified")]
    if len(given) > 1:
        return [invalid(path, value, "exactly one value must be specified")]
    text = value[given[0]]
    return [too_long(path / given[0], MAX_TEXT)] if isinstance(text, str) and len(text) > MAX_TEXT else []
