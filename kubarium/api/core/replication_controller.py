"""ReplicationController: the ancestor of ReplicaSet."""

from __future__ import annotations

from kubarium.api.core.pod import defaults
from kubarium.apimachinery.object import Object, metadata_of


def fill_defaults(controller: Object) -> None:
    """Selector and labels come from the template."""
    spec = controller.setdefault("spec", {})
    template = spec.get("template")
    defaults.fill_template(template)
    labels = ((template or {}).get("metadata") or {}).get("labels") or {}
    if labels:
        if not spec.get("selector"):
            spec["selector"] = dict(labels)
        metadata = metadata_of(controller)
        if not metadata.get("labels"):
            metadata["labels"] = dict(labels)
    if spec.get("replicas") is None:
        spec["replicas"] = 1
