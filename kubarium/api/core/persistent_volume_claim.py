"""PersistentVolumeClaim: a wish for storage.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#persistentvolumeclaims
"""

from __future__ import annotations

from kubarium.api.core.persistent_volume import ACCESS_MODES
from kubarium.apimachinery import quantity
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object, copy


def fill_defaults(claim: Object) -> None:
    """A filesystem."""
    fill_spec(claim.setdefault("spec", {}))


def fill_spec(spec: Object) -> None:
    """The part that templates of claims share."""
    if not spec.get("volumeMode"):
        spec["volumeMode"] = "Filesystem"
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = copy(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = copy(reference)


def validate(claim: Object) -> list[FieldError]:
    """Access modes and a positive request."""
    return validate_spec(claim.get("spec") or {}, SPEC)


def validate_spec(spec: Object, path: FieldPath) -> list[FieldError]:
    """The part that templates of claims share."""
    found: list[FieldError] = []
    modes = spec.get("accessModes") or []
    if not modes:
        found.append(required(path / "accessModes", "at least 1 access mode is required"))
    found += [
        not_supported(path / "accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES
    ]
    found += validate_label_selector(spec.get("selector"), path / "selector")
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        found.append(required((path / "resources").key("storage")))
    elif quantity.milli_value(requests["storage"]) <= 0:
        at = (path / "resources").key("storage")
        found.append(invalid(at, requests["storage"], "must be greater than zero"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Only growth, and what the binder sets on an unbound claim."""
    found = validate(new)
    after, before = copy(new.get("spec") or {}), copy(old.get("spec") or {})
    grown, was = _take_request(after), _take_request(before)
    after.pop("volumeAttributesClassName", None), before.pop("volumeAttributesClassName", None)
    if not before.get("volumeName"):
        before["volumeName"] = after.get("volumeName")
        if before.get("storageClassName") is None:
            before["storageClassName"] = after.get("storageClassName")
    if _present(after) != _present(before):
        why = "spec is immutable after creation except resources.requests and volumeAttributesClassName "
        why += "for bound claims"
        found.append(forbidden(SPEC, why))
    if grown and was and quantity.milli_value(grown) < quantity.milli_value(was):
        at = SPEC / "resources" / "requests" / "storage"
        found.append(forbidden(at, "field can not be less than status.capacity"))
    return found


def _take_request(spec: Object) -> str:
    requests = (spec.get("resources") or {}).get("requests") or {}
    taken: str = requests.pop("storage", "")
    return taken


def _present(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if value is not None}
