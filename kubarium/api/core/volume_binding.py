"""How claims and volumes find each other: what scheduler, binder and provisioners note on them for one another.

Source: https://kubernetes.io/docs/reference/labels-annotations-taints/
"""

from __future__ import annotations

from kubarium.apimachinery.object import Object, annotations_of, spec_of

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


def class_of(obj: Object) -> str:
    """The storage class that a claim or volume names, by field or by the older annotation; the empty text: none."""
    annotated: str | None = annotations_of(obj).get(OLD_CLASS)
    return annotated if annotated is not None else spec_of(obj).get("storageClassName") or ""
