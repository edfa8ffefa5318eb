"""How claims and volumes find each other: what scheduler, binder and provisioners note on them, and which fit.

Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

from __future__ import annotations

from kubarium.apimachinery import labels, quantity
from kubarium.apimachinery.object import (
    Object,
    annotations_of,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
    uid_of,
)

# Of a claim.
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"

# Of a volume.
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"

# Of either.
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"

NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""The provisioner of classes whose volumes somebody makes by hand."""

TOO_SMALL = "requested PV is too small"


def class_of(obj: Object) -> str:
    """The storage class that a claim or volume names, by field or by the older annotation; the empty text: none."""
    annotated: str | None = annotations_of(obj).get(OLD_CLASS)
    return annotated if annotated is not None else spec_of(obj).get("storageClassName") or ""


def capacity_of(volume: Object) -> int:
    """How much it holds, in bytes."""
    return quantity.value((spec_of(volume).get("capacity") or {}).get("storage") or "0")


def wanted_by(claim: Object) -> int:
    """How much it asks for, in bytes."""
    requests = (spec_of(claim).get("resources") or {}).get("requests") or {}
    return quantity.value(requests.get("storage") or "0")


def is_free(volume: Object) -> bool:
    """Is nobody bound to it?"""
    return (
        not spec_of(volume).get("claimRef")
        and not is_deleting(volume)
        and status_of(volume).get("phase") in (None, "Available", "Pending")
    )


def refers_to(volume: Object, claim: Object) -> bool:
    """Is this claim the one that the volume names?"""
    reference = spec_of(volume).get("claimRef") or {}
    return (reference.get("namespace"), reference.get("name")) == (
        namespace_of(claim),
        name_of(claim),
    ) and reference.get("uid") in (None, "", uid_of(claim))


def can_hold(volume: Object, claim: Object) -> bool:
    """Is it large enough, of the right sort, and here to stay? That is asked even of a volume that names the claim."""
    return not is_deleting(volume) and not _shape_problem(volume, claim)


def mismatch(volume: Object, claim: Object) -> str:
    """Why the volume cannot serve the claim; nothing if it can."""
    if is_deleting(volume):
        return f'the volume is marked for deletion "{name_of(volume)}"'
    problem = _shape_problem(volume, claim)
    if problem == TOO_SMALL:
        return problem
    if class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    ours, theirs = (spec_of(one).get("volumeAttributesClassName") or "" for one in (claim, volume))
    return "volumeAttributesClassName does not match" if ours != theirs else problem


def _shape_problem(volume: Object, claim: Object) -> str:
    if capacity_of(volume) < wanted_by(claim):
        return TOO_SMALL
    ours, theirs = (spec_of(one).get("volumeMode") or "Filesystem" for one in (claim, volume))
    if ours != theirs:
        return "incompatible volumeMode"
    if not set(spec_of(claim).get("accessModes") or []) <= set(spec_of(volume).get("accessModes") or []):
        return "incompatible accessMode"
    return ""


def fits(volume: Object, claim: Object) -> bool:
    """May this volume be given to the claim, as far as it is free?"""
    selector = spec_of(claim).get("selector")
    if selector is not None and not labels.from_label_selector(selector).matches(labels_of(volume)):
        return False
    return not mismatch(volume, claim)
