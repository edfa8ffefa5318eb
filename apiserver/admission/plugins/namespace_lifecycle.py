"""No new objects in a namespace that is not there or is going away; some namespaces never go."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from kubarium.api.core.namespace import is_terminating
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
_FRESHLY_DELETED = 30.0  # seconds in which the cache may still show a namespace as alive


class NamespaceLifecycle(AdmissionPlugin):
    """Looks at the namespace of every namespaced write."""

    name = "NamespaceLifecycle"
    operations = frozenset({CREATE, UPDATE, DELETE})

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister
        self._clock = clock
        self._deleted: dict[str, float] = {}  # when we saw a deletion pass by

    async def admit(self, attributes: Attributes) -> None:
        """Refuse what must not happen."""
        if attributes.is_for("", "namespaces"):
            self._watch_deletions(attributes)
            return
        if not attributes.namespace or attributes.operation == DELETE:
            return
        if attributes.is_for("authorization.k8s.io", "localsubjectaccessreviews"):
            return
        namespace = await self._find(attributes.namespace, attributes.operation == CREATE)
        if attributes.operation == CREATE and is_terminating(namespace):
            raise self._going_away(attributes)

    def _watch_deletions(self, attributes: Attributes) -> None:
        if attributes.operation == DELETE:
            if attributes.name in IMMORTAL:
                raise attributes.forbidden("this namespace may not be deleted")
            now = self._clock.monotonic()
            recent = {name: when for name, when in self._deleted.items() if now - when < _FRESHLY_DELETED}
            self._deleted = {**recent, attributes.name: now}

    async def _find(self, name: str, creating: bool) -> Object:
        """From the cache, unless that may be behind: a namespace just made, or just deleted."""
        cached = self._cached.get("", name)
        deleted = self._deleted.get(name)
        doubtful = deleted is not None and self._clock.monotonic() - deleted < _FRESHLY_DELETED
        if cached is not None and not (doubtful and creating):
            return cached
        try:
            return await self._namespaces.get(name)
        except errors.NotFound:
            raise errors.NotFound.of("", "namespaces", name) from None

    @staticmethod
    def _going_away(attributes: Attributes) -> errors.Forbidden:
        name = attributes.namespace
        error = attributes.forbidden(
            f"unable to create new content in namespace {name} because it is being terminated"
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": f"namespace {name} is being terminated",
            "field": "metadata.namespace",
        }
        error.details = {**(error.details or {}), "causes": [cause]}
        return error
