"""The namespace that a write is in and what is in there, also when it was made a moment ago."""

from __future__ import annotations

from apiserver.admission.plugin import Attributes
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, namespace_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

BELIEVED = 30.0  # seconds


class Namespaces:
    """From the cache; asked for where the cache has not heard of it yet, lest its labels choose nothing."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister

    async def of(self, attributes: Attributes) -> Object | None:
        """None where there is none; a namespace itself is in none."""
        name = attributes.namespace
        if attributes.is_for("", "namespaces") or not name:
            return None
        cached = self._cached.get("", name)
        if cached is not None:
            return cached
        try:
            return await self._namespaces.get(name)
        except errors.NotFound:
            return None


class InNamespace:
    """What a namespace has of one kind. Where the cache has nothing it may be late, and who wants to know asks.

    That nothing was found is believed for a while. Source: live lookups of upstream's quota and limit plugins.
    """

    def __init__(self, client: Client, informers: Informers, clock: Clock, plural: str) -> None:
        self._resource = client.resource("v1", plural)
        self._informer = informers.informer("v1", plural)
        self._clock = clock
        self._asked: dict[str, tuple[float, list[Object]]] = {}  # when, and what was there
        self._informer.add_handler(on_delete=lambda gone: self.forget(namespace_of(gone)))

    async def all(self, namespace: str) -> list[Object]:
        """Those of a namespace."""
        if self._informer.has_synced:
            cached = self._informer.lister.list(namespace)
            if cached:
                return cached
        now = self._clock.monotonic()
        when, found = self._asked.get(namespace, (-BELIEVED, []))
        if now - when >= BELIEVED or not self._informer.has_synced:
            found = (await self._resource.list(namespace))["items"]
            recent = {name: one for name, one in self._asked.items() if now - one[0] < BELIEVED}
            self._asked = {**recent, namespace: (now, found)}
        return found

    def forget(self, namespace: str) -> None:
        """What was found is not so any more, or soon will not be."""
        self._asked.pop(namespace, None)
