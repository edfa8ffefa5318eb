"""A namespace says on which nodes its pods may run. Off unless asked for.

The annotation `scheduler.alpha.kubernetes.io/node-selector` of the namespace, else `clusterDefaultNodeSelector` of the
configuration, is added to each pod; the entry of the namespace in the configuration says what pods may select at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector"
_DEFAULT = "clusterDefaultNodeSelector"


class PodNodeSelector(AdmissionPlugin):
    """Adds the namespace's node selector to pods."""

    name = "PodNodeSelector"
    operations = frozenset({CREATE})
    resources = frozenset({("", "pods")})

    def __init__(self, client: Client, informers: Informers, configuration: Object | None = None) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister
        given = (configuration or {}).get("podNodeSelectorPluginConfig") or {}
        self._selectors = {name: parse(text or "") for name, text in given.items()}

    async def admit(self, attributes: Attributes) -> None:
        """Add the namespace's labels; those of the pod must not say otherwise."""
        if attributes.subresource:
            return
        spec = spec_of(attributes.new)
        own = spec.get("nodeSelector") or {}
        merged = {**await self._of_namespace(attributes, own), **own}
        if merged:
            spec["nodeSelector"] = merged
        self._check(attributes, merged)

    async def validate(self, attributes: Attributes) -> None:
        """Others may have changed the pod since."""
        if attributes.subresource:
            return
        own = spec_of(attributes.new).get("nodeSelector") or {}
        await self._of_namespace(attributes, own)
        self._check(attributes, own)

    async def _of_namespace(self, attributes: Attributes, own: Mapping[str, str]) -> dict[str, str]:
        cached = self._cached.get("", attributes.namespace)
        namespace = cached if cached is not None else await self._namespaces.get(attributes.namespace)
        text = (namespace["metadata"].get("annotations") or {}).get(ANNOTATION)
        try:
            found = self._selectors.get(_DEFAULT, {}) if text is None else parse(text)
        except ValueError as error:
            raise errors.InternalError(str(error)) from None
        if any(own.get(key, value) != value for key, value in found.items()):
            raise attributes.forbidden(
                "pod node label selector conflicts with its namespace node label selector"
            )
        return found

    def _check(self, attributes: Attributes, selector: Mapping[str, str]) -> None:
        allowed = self._selectors.get(attributes.namespace)
        if allowed and any(allowed.get(key) != value for key, value in selector.items()):
            raise attributes.forbidden("pod node label selector labels conflict with its namespace whitelist")


def parse(text: str) -> dict[str, str]:
    """`a=b,c=d` as a map. Raises ValueError."""
    found = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"invalid selector: [{pair}]")
        found[key.strip()] = value.strip()
    return found
