"""StorageClass: a kind of storage that can be asked for by name."""

from __future__ import annotations

from kubarium.apimachinery.field_path import ROOT, FieldError, immutable, not_supported, required
from kubarium.apimachinery.object import Object, annotations_of

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"
IMMEDIATE, WAIT = "Immediate", "WaitForFirstConsumer"


def fill_defaults(storage_class: Object) -> None:
    """Deleted after use, bound at once."""
    if not storage_class.get("reclaimPolicy"):
        storage_class["reclaimPolicy"] = "Delete"
    if not storage_class.get("volumeBindingMode"):
        storage_class["volumeBindingMode"] = IMMEDIATE


def is_default(storage_class: Object) -> bool:
    """Is it meant for claims that name no class?"""
    return annotations_of(storage_class).get(IS_DEFAULT) == "true"


def validate(storage_class: Object) -> list[FieldError]:
    """A provisioner and known policies."""
    found: list[FieldError] = []
    if not storage_class.get("provisioner"):
        found.append(required(ROOT / "provisioner"))
    policy = storage_class.get("reclaimPolicy")
    if policy not in ("Delete", "Retain"):
        found.append(not_supported(ROOT / "reclaimPolicy", policy, ("Delete", "Retain")))
    mode = storage_class.get("volumeBindingMode")
    if mode not in (IMMEDIATE, WAIT):
        found.append(not_supported(ROOT / "volumeBindingMode", mode, (IMMEDIATE, WAIT)))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """What a class means stays."""
    fields = ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode")
    return [e for f in fields for e in immutable(ROOT / f, new.get(f), old.get(f))] + validate(new)
