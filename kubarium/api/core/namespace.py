"""Namespace: a scope for names that empties itself before it goes.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
"""

from __future__ import annotations

from kubarium.apimachinery.object import Object, metadata_of

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"
TERMINATING = "Terminating"


def fill_defaults(namespace: Object) -> None:
    """Every namespace carries its own name as a label."""
    metadata = metadata_of(namespace)
    if metadata.get("name"):
        labels = metadata.get("labels") or {}
        labels.setdefault(NAME_LABEL, metadata["name"])
        metadata["labels"] = labels


def finalizers_of(namespace: Object) -> list[str]:
    """Who must agree before the namespace is gone: `spec.finalizers`, not those of the metadata."""
    return (namespace.get("spec") or {}).get("finalizers") or []


def is_terminating(namespace: Object) -> bool:
    """Is it going away? Nothing new may be made in it then."""
    return (namespace.get("status") or {}).get("phase") == TERMINATING
