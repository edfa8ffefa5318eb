"""Ingresses without a class get the default class."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery.object import annotations_of, name_of, spec_of
from kubarium.client.informer import Informers

_MARK = "ingressclass.kubernetes.io/is-default-class"
_OLD_CLASS = "kubernetes.io/ingress.class"


class DefaultIngressClass(AdmissionPlugin):
    """Sets ingressClassName of new ingresses that leave it out."""

    name = "DefaultIngressClass"
    operations = frozenset({CREATE})
    resources = frozenset({("networking.k8s.io", "ingresses")})

    def __init__(self, informers: Informers) -> None:
        self._classes = informers.informer("networking.k8s.io/v1", "ingressclasses").lister

    async def admit(self, attributes: Attributes) -> None:
        """The newest of the default classes, the first by name among equals."""
        ingress = attributes.new
        if attributes.subresource or spec_of(ingress).get("ingressClassName") is not None:
            return
        if _OLD_CLASS in annotations_of(ingress):
            return
        marked = [found for found in self._classes.list() if annotations_of(found).get(_MARK) == "true"]
        marked.sort(key=name_of)
        marked.sort(key=lambda found: str(found["metadata"].get("creationTimestamp") or ""), reverse=True)
        if marked:
            ingress.setdefault("spec", {})["ingressClassName"] = name_of(marked[0])
