"""A pod that is bound to a node gets the node's zone and region as labels."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import Object, labels_of, metadata_of
from kubarium.client.informer import Informers

_KEYS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(AdmissionPlugin):
    """Adds the labels to the binding, from where they go to the pod."""

    name = "PodTopologyLabels"
    operations = frozenset({CREATE})
    resources = frozenset({("", "pods"), ("", "bindings")})

    def __init__(self, informers: Informers) -> None:
        self._nodes = informers.informer("v1", "nodes", transform=_with_labels_only).lister

    async def admit(self, attributes: Attributes) -> None:
        """Copy the node's labels onto the binding."""
        binding = attributes.obj
        if binding is None or binding.get("kind") != "Binding":
            return
        target = binding.get("target") or {}
        if target.get("kind") not in ("Node", "", None) or not target.get("name"):
            return
        node = self._nodes.get("", target["name"])
        if node is None:
            return
        found = {key: labels_of(node)[key] for key in _KEYS if key in labels_of(node)}
        if found:
            metadata_of(binding)["labels"] = {**labels_of(binding), **found}


def _with_labels_only(node: Object) -> Object:
    """Nodes report often and at length; all of it but the labels is forgotten."""
    kept = ("name", "resourceVersion", "labels")
    return {"metadata": {key: node["metadata"].get(key) for key in kept}}
