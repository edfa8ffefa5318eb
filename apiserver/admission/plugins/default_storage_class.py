"""Claims without a class get the default class."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import annotations_of, name_of, spec_of
from kubarium.client.informer import Informers

_MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_OLD_CLASS = "volume.beta.kubernetes.io/storage-class"


class DefaultStorageClass(AdmissionPlugin):
    """Sets storageClassName of new claims that leave it out."""

    name = "DefaultStorageClass"
    operations = frozenset({CREATE})
    resources = frozenset({("", "persistentvolumeclaims")})

    def __init__(self, informers: Informers) -> None:
        self._classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister

    async def admit(self, attributes: Attributes) -> None:
        """The newest of the default classes, the first by name among equals."""
        claim = attributes.new
        if attributes.subresource or spec_of(claim).get("storageClassName") is not None:
            return
        if _OLD_CLASS in annotations_of(claim):
            return
        marked = [found for found in self._classes.list()
                  if any(annotations_of(found).get(mark) == "true" for mark in _MARKS)]  # fmt: skip
        marked.sort(key=name_of)
        marked.sort(key=lambda found: str(found["metadata"].get("creationTimestamp") or ""), reverse=True)
        if marked:
            claim.setdefault("spec", {})["storageClassName"] = name_of(marked[0])
