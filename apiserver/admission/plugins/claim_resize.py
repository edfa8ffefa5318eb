"""Claims grow only where their class allows it, and only once they are bound."""

from __future__ import annotations

from apiserver.admission.plugin import UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, spec_of, status_of
from kubarium.client.informer import Informers


class PersistentVolumeClaimResize(AdmissionPlugin):
    """Looks at changes of a claim's size."""

    name = "PersistentVolumeClaimResize"
    operations = frozenset({UPDATE})
    resources = frozenset({("", "persistentvolumeclaims")})

    def __init__(self, informers: Informers) -> None:
        self._classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister

    async def validate(self, attributes: Attributes) -> None:
        """Refuse growth without permission; shrinking is validation's business."""
        old = attributes.old
        if attributes.subresource or old is None:
            return
        before, after = _size(old), _size(attributes.new)
        if quantity.compare(after, before) <= 0:
            return
        if status_of(old).get("phase") != "Bound":
            raise attributes.forbidden("Only bound persistent volume claims can be expanded")
        name = spec_of(attributes.new).get("storageClassName")
        found = self._classes.get("", name) if name else None
        if found is None or not found.get("allowVolumeExpansion"):
            raise attributes.forbidden(
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
                "support resize"
            )


def _size(claim: Object) -> str:
    requests = (spec_of(claim).get("resources") or {}).get("requests") or {}
    return str(requests.get("storage") or "0")
