"""VolumeAttributesClass: qualities of a volume that may change while it is used."""

from __future__ import annotations

from kubarium.api.storage.csi import driver_name
from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import ROOT, FieldError, forbidden, required
from kubarium.apimachinery.object import Object


def validate(attributes: Object) -> list[FieldError]:
    """A driver and at least one parameter."""
    found = driver_name(ROOT / "driverName", attributes.get("driverName"))
    given = attributes.get("parameters") or {}
    if not given:
        return [*found, required(ROOT / "parameters", "must contain at least one key/value pair")]
    return found + rules.parameters(ROOT / "parameters", given)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """What a class means stays."""
    return [
        forbidden(ROOT / field, f"updates to {field} are forbidden.")
        for field in ("driverName", "parameters")
        if new.get(field) != old.get(field)
    ]
