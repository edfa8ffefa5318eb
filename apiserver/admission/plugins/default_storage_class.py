"""Claims without a class get the default class."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.api.core import persistent_volume_claim
from kubarium.api.storage import storage_class
from kubarium.apimachinery.object import name_of
from kubarium.client.informer import Informers


class DefaultStorageClass(AdmissionPlugin):
    """Sets storageClassName of new claims that leave it out."""

    name = "DefaultStorageClass"
    operations = frozenset({CREATE})
    resources = frozenset({("", "persistentvolumeclaims")})

    def __init__(self, informers: Informers) -> None:
        self._classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister

    async def admit(self, attributes: Attributes) -> None:
        """The name of the default class."""
        claim = attributes.new
        if attributes.subresource or persistent_volume_claim.names_class(claim):
            return
        default = storage_class.default_of(self._classes.list())
        if default is not None:
            claim.setdefault("spec", {})["storageClassName"] = name_of(default)
