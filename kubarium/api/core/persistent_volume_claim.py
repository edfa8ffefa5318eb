"""PersistentVolumeClaim: a wish for storage.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#persistentvolumeclaims
"""

from __future__ import annotations

from kubarium.api.core.persistent_volume import ACCESS_MODES, ALONE, ONLY_POD, VOLUME_MODES
from kubarium.api.core.volume_binding import OLD_CLASS
from kubarium.apimachinery import names, quantity, rules
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
from kubarium.apimachinery.object import Object, annotations_of, copy


def fill_defaults(claim: Object) -> None:
    """A filesystem."""
    fill_spec(claim.setdefault("spec", {}))


def fill_spec(spec: Object) -> None:
    """The part that templates of claims share."""
    if spec.get("volumeMode") is None:
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
    if ONLY_POD in modes and len(modes) > 1:
        found.append(forbidden(path / "accessModes", ALONE))
    found += validate_label_selector(spec.get("selector"), path / "selector")
    requests = (spec.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        found.append(required((path / "resources").key("storage")))
    elif quantity.milli_value(requests["storage"]) <= 0:
        at = (path / "resources").key("storage")
        found.append(invalid(at, requests["storage"], "must be greater than zero"))
    found += rules.if_named(
        path / "storageClassName", spec.get("storageClassName"), names.dns_subdomain_errors
    )
    found += rules.if_one_of(path / "volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for field, origin in (("dataSource", source), ("dataSourceRef", reference)):
        found += [
            required(path / field / part) for part in ("kind", "name") if origin and not origin.get(part)
        ]
    if source and reference and not reference.get("namespace") and source != reference:
        found.append(invalid(path, "dataSource", "must match dataSourceRef"))
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
    held = ((old.get("status") or {}).get("capacity") or {}).get("storage") or was
    shrunk = grown and was and quantity.compare(grown, was) < 0
    if shrunk and quantity.compare(grown, held) <= 0:
        at = SPEC / "resources" / "requests" / "storage"
        found.append(forbidden(at, "field can not be less than status.capacity"))
    return found


def _take_request(spec: Object) -> str:
    requests = (spec.get("resources") or {}).get("requests") or {}
    taken: str = requests.pop("storage", "")
    return taken


def _present(spec: Object) -> Object:
    return {key: value for key, value in spec.items() if value is not None}


def names_class(claim: Object) -> bool:
    """Does it say which class it wants, if only that it wants none?"""
    return (claim.get("spec") or {}).get("storageClassName") is not None or OLD_CLASS in annotations_of(claim)


def warnings(claim: Object, old: Object | None) -> list[str]:
    """An annotation of long ago, a fraction of a byte (`pkg/api/persistentvolumeclaim/util.go`)."""
    found = spec_warnings(claim.get("spec") or {}, "spec")
    if OLD_CLASS in annotations_of(claim):
        text = 'deprecated since v1.8; use "storageClassName" attribute instead'
        found.insert(0, f"metadata.annotations[{OLD_CLASS}]: {text}")
    return found


def spec_warnings(spec: Object, at: str) -> list[str]:
    """The part that templates of claims share."""
    found = []
    for kind in ("requests", "limits"):
        amount = ((spec.get("resources") or {}).get(kind) or {}).get("storage")
        if amount is not None and quantity.milli_value(amount) % 1000:
            text = quantity.canonical(amount)
            found.append(
                f'{at}.resources.{kind}[storage]: fractional byte value "{text}" is invalid, must be an integer'
            )
    return found
