"""ConfigMap: the smallest full example of a noun. Read this one first.

Source: https://kubernetes.io/docs/concepts/configuration/configmap/
"""

from __future__ import annotations

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import ROOT, FieldError, FieldPath, forbidden, invalid
from kubarium.apimachinery.object import Object

MAX_SIZE = 1024 * 1024  # bytes of all values together


def validate(config_map: Object) -> list[FieldError]:
    """Keys are file names, no key stands in both maps, and all values together are at most 1 MiB."""
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    found: list[FieldError] = []
    for key in data:
        found += [invalid((ROOT / "data").key(key), key, text) for text in names.config_key_errors(key)]
        if key in binary:
            found.append(invalid((ROOT / "data").key(key), key, "duplicate of key present in binaryData"))
    for key in binary:
        found += [invalid((ROOT / "binaryData").key(key), key, text) for text in names.config_key_errors(key)]
    size = sum(len(value.encode()) for value in data.values()) + sum(
        len(value) * 3 // 4 for value in binary.values()
    )
    if size > MAX_SIZE:
        found.append(
            FieldError("FieldValueTooLong", FieldPath(""), f"Too long: may not be more than {MAX_SIZE} bytes")
        )
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """An immutable ConfigMap keeps its data and stays immutable."""
    return [*validate(new), *immutability_errors(new, old, "data", "binaryData")]


def immutability_errors(new: Object, old: Object, *fields: str) -> list[FieldError]:
    """What `immutable: true` forbids; shared with Secret."""
    if not old.get("immutable"):
        return []
    found: list[FieldError] = []
    if not new.get("immutable"):
        found.append(forbidden(ROOT / "immutable", "field is immutable when `immutable` is set"))
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            found.append(forbidden(ROOT / field, "field is immutable when `immutable` is set"))
    return found
