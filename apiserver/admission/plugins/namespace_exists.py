"""Namespaces that are not there: refuse what is written into them, or make them. Off unless asked for."""

from __future__ import annotations

from apiserver.admission.plugin import CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.client.rest import Client


class NamespaceExists(AdmissionPlugin):
    """Refuses writes into namespaces that are not there."""

    name = "NamespaceExists"
    operations = frozenset({CREATE, UPDATE, DELETE})

    def __init__(self, client: Client, informers: Informers) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister

    async def validate(self, attributes: Attributes) -> None:
        """404 without the namespace."""
        name = attributes.namespace
        if name and not attributes.is_for("", "namespaces") and self._cached.get("", name) is None:
            await self._namespaces.get(name)


class NamespaceAutoProvision(AdmissionPlugin):
    """Makes the namespace of what is created."""

    name = "NamespaceAutoProvision"
    operations = frozenset({CREATE})

    def __init__(self, client: Client, informers: Informers) -> None:
        self._namespaces = client.resource("v1", "namespaces")
        self._cached = informers.informer("v1", "namespaces").lister

    async def admit(self, attributes: Attributes) -> None:
        """Make it unless it is there."""
        name = attributes.namespace
        if attributes.dry_run or not name or attributes.is_for("", "namespaces"):
            return
        if self._cached.get("", name) is not None:
            return
        namespace: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            await self._namespaces.create(namespace)
        except errors.AlreadyExists:
            return
