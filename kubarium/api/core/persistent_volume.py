"""PersistentVolume: a piece of storage that outlives pods.

Source: https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from kubarium.api.core import node_labels, node_selector, volume_warnings
from kubarium.api.core.volume_binding import OLD_CLASS
from kubarium.api.storage.csi import driver_name
from kubarium.apimachinery import names, quantity, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, annotations_of

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
ONLY_POD = "ReadWriteOncePod"
ALONE = "may not use ReadWriteOncePod with other access modes"
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_OLD_ANNOTATIONS = {
    OLD_CLASS: 'deprecated since v1.8; use "storageClassName" attribute instead',
    "volume.beta.kubernetes.io/mount-options": 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_RECYCLE = (
    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. "
    "Instead, the recommended approach is to use dynamic provisioning."
)
_NOT_SOURCES = frozenset(
    ("accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity", "persistentVolumeReclaimPolicy",
     "storageClassName", "volumeAttributesClassName", "volumeMode")
)  # fmt: skip


def fill_defaults(volume: Object) -> None:
    """Retained after use, a filesystem."""
    spec = volume.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    if spec.get("volumeMode") is None:
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
    if set(capacity) != {"storage"}:
        found.append(not_supported(SPEC / "capacity", capacity or None, ("storage",)))
    for name, amount in capacity.items():
        if quantity.milli_value(amount) <= 0:
            found.append(invalid((SPEC / "capacity").key(name), amount, "must be greater than zero"))
    sources = [name for name in spec if name not in _NOT_SOURCES]
    if not sources:
        found.append(required(SPEC, "must specify a volume type"))
    found += [forbidden(SPEC / name, "may not specify more than 1 volume type") for name in sources[1:]]
    if ONLY_POD in modes and len(modes) > 1:
        found.append(forbidden(SPEC / "accessModes", ALONE))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy not in RECLAIM_POLICIES:
        found.append(not_supported(SPEC / "persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    if sources[:1] == ["local"] and not spec.get("nodeAffinity"):
        found.append(required(SPEC / "nodeAffinity", "Local volume requires node affinity"))
    if policy == "Recycle" and (spec.get("hostPath") or {}).get("path") == "/":
        why = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(forbidden(SPEC / "persistentVolumeReclaimPolicy", why))
    found += rules.if_named(
        SPEC / "storageClassName", spec.get("storageClassName"), names.dns_subdomain_errors
    )
    found += rules.if_one_of(SPEC / "volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    affinity = spec.get("nodeAffinity")
    if affinity is not None and affinity.get("required") is None:
        why = "must specify required node constraints"
        found.append(required(SPEC / "nodeAffinity" / "required", why))
    elif affinity is not None:
        found += node_selector.validate(affinity["required"], SPEC / "nodeAffinity" / "required")
    return found if spec.get("csi") is None else found + _csi_errors(spec["csi"], SPEC / "csi")


def _csi_errors(csi: Object, path: FieldPath) -> list[FieldError]:
    """A driver, its handle, whole references to secrets; upstream does not look at the one for staging."""
    found = driver_name(path / "driver", csi.get("driver"))
    if not csi.get("volumeHandle"):
        found.append(required(path / "volumeHandle"))
    for field in ("controllerPublish", "controllerExpand", "nodePublish", "nodeExpand"):
        secret, at = csi.get(f"{field}SecretRef"), path / f"{field}SecretRef"
        if secret is not None:
            found += rules.named(at / "name", secret.get("name"), names.dns_subdomain_errors)
            found += rules.named(at / "namespace", secret.get("namespace"), names.dns_label_errors)
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
    if before.get("nodeAffinity") is not None:
        found += immutable(SPEC / "nodeAffinity", after.get("nodeAffinity"), before["nodeAffinity"])
    return [*found, *immutable(SPEC / "volumeMode", after.get("volumeMode"), before.get("volumeMode"))]


def warnings(volume: Object, old: Object | None) -> list[str]:
    """What has been given up (`pkg/api/persistentvolume/util.go`)."""
    spec = volume.get("spec") or {}
    annotations = annotations_of(volume)
    found = [
        f"metadata.annotations[{key}]: {text}" for key, text in _OLD_ANNOTATIONS.items() if key in annotations
    ]
    if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found.append(_RECYCLE)
    terms = ((spec.get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or ()
    for index, term in enumerate(terms):
        found += node_labels.term_warnings(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{index}]")
    return [*found, *volume_warnings.of_source(spec, "spec")]


def unique_name(volume: Object) -> str:
    """How a node's status names a volume of a CSI driver; nothing for others."""
    csi = (volume.get("spec") or {}).get("csi")
    if not csi:
        return ""
    return f"kubernetes.io/csi/{csi['driver']}^{csi['volumeHandle']}"
