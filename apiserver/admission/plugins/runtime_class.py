"""A runtime class brings its overhead, node selector and tolerations to the pods that name it."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, AdmissionPlugin, Attributes
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, copy, spec_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client

_API = "node.k8s.io/v1"


class RuntimeClass(AdmissionPlugin):
    """Looks up the runtime class of new pods."""

    name = "RuntimeClass"
    operations = frozenset({CREATE})
    resources = frozenset({("", "pods")})

    def __init__(self, client: Client, informers: Informers) -> None:
        self._classes = client.resource(_API, "runtimeclasses")
        self._cached = informers.informer(_API, "runtimeclasses").lister

    async def admit(self, attributes: Attributes) -> None:
        """Write what the class brings into the pod."""
        if attributes.subresource:
            return
        found = await self._class_of(attributes)
        if found is None:
            return
        spec = attributes.new["spec"]
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and spec["overhead"] != overhead:
                raise attributes.forbidden(
                    "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
                )
            spec["overhead"] = dict(overhead)
        self._schedule(attributes, spec, found.get("scheduling") or {})

    @staticmethod
    def _schedule(attributes: Attributes, spec: Object, scheduling: Object) -> None:
        selector = dict(spec.get("nodeSelector") or {})
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            if selector.get(key, value) != value:
                raise attributes.forbidden(
                    f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                    f"pod.spec.nodeSelector[{key}] = {selector[key]}"
                )
            selector[key] = value
        if selector:
            spec["nodeSelector"] = selector
        wanted = copy(scheduling).get("tolerations") or []
        missing = [one for one in wanted if one not in (spec.get("tolerations") or [])]
        if missing:
            spec["tolerations"] = [*(spec.get("tolerations") or []), *missing]

    async def validate(self, attributes: Attributes) -> None:
        """Overhead comes from the class and from nowhere else."""
        if attributes.subresource:
            return
        found = await self._class_of(attributes)
        given = spec_of(attributes.new).get("overhead") or {}
        expected = ((found or {}).get("overhead") or {}).get("podFixed") or {}
        if given and not expected:
            raise attributes.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )
        if given != expected:
            raise attributes.forbidden(
                "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
            )

    async def _class_of(self, attributes: Attributes) -> Object | None:
        name = spec_of(attributes.new).get("runtimeClassName")
        if not name:
            return None
        cached = self._cached.get("", name)
        if cached is not None:
            return cached
        try:
            return await self._classes.get(name)
        except errors.NotFound:
            raise attributes.forbidden(f'pod rejected: RuntimeClass "{name}" not found') from None
