"""Volumes and claims in use stay until nobody uses them: a finalizer that a controller takes away."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import finalizers_of, metadata_of

_FINALIZERS = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(AdmissionPlugin):
    """Adds the finalizer."""

    name = "StorageObjectInUseProtection"
    operations = frozenset({CREATE})
    resources = frozenset(_FINALIZERS)

    async def admit(self, attributes: Attributes) -> None:
        """Add it unless it is there."""
        if attributes.subresource:
            return
        finalizer = _FINALIZERS[attributes.resource.group, attributes.resource.resource]
        present = finalizers_of(attributes.new)
        if finalizer not in present:
            metadata_of(attributes.new)["finalizers"] = [*present, finalizer]
