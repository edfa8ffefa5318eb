"""PersistentVolume: a piece of storage that outlives pods.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from kubarium.apimachinery import quantity
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_NOT_SOURCES = frozenset(
    ("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
     "storageClassName", "volumeAttributesClassName", "volumeMode")
)  # fmt: skip


def fill_defaults(volume: Object) -> None:
    """Retained after use, a filesystem."""
    spec = volume.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if not spec.get("volumeMode"):
        spec["volumeMode"] = "Filesystem"
    if spec.get("hostPath") is not None and spec["hostPath"].get("type") is None:
        spec["hostPath"]["type"] = ""


def source_of(volume: Object) -> tuple[str, Object]:
    """Which kind of storage it is, and its settings: `("hostPath", {"path": "/data"})`."""
    spec = volume.get("spec") or {}
    return next(((name, spec[name]) for name in spec if name not in _NOT_SOURCES), ("", {}))


def validate(volume: Object) -> list[FieldError]:
    """Access modes, one capacity, exactly one source."""
    spec = volume.get("spec") or {}
    found: list[FieldError] = []
    modes = spec.get("accessModes") or []
    if not modes:
        found.append(required(SPEC / "accessModes"))
    found += [
        not_supported(SPEC / "accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES
    ]
    capacity = spec.get("capacity") or {}
    if not capacity:
        found.append(required(SPEC / "capacity"))
    elif set(capacity) != {"storage"}:
        found.append(not_supported(SPEC / "capacity", capacity, ("storage",)))
    for name, amount in capacity.items():
        if quantity.milli_value(amount) <= 0:
            found.append(invalid((SPEC / "capacity").key(name), amount, "must be greater than zero"))
    sources = [name for name in spec if name not in _NOT_SOURCES]
    if not sources:
        found.append(required(SPEC, "must specify a volume type"))
    found += [forbidden(SPEC / name, "may not specify more than 1 volume type") for name in sources[1:]]
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in RECLAIM_POLICIES:
        found.append(not_supported(SPEC / "persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    if sources[:1] == ["local"] and not spec.get("nodeAffinity"):
        found.append(required(SPEC / "nodeAffinity", "Local volume requires node affinity"))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The source does not change."""
    found = validate(new)
    if source_of(new) != source_of(old):
        found.append(
            forbidden(
                SPEC / "persistentvolumesource", "spec.persistentvolumesource is immutable after creation"
            )
        )
    before, after = old.get("spec") or {}, new.get("spec") or {}
    return [*found, *immutable(SPEC / "volumeMode", after.get("volumeMode"), before.get("volumeMode"))]
