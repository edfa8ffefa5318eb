"""`kube-root-ca.crt` in each namespace, so that every pod can check whom it talks to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    name_of,
    namespace_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = "kubernetes.io/description"
TEXT = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
    "Kubernetes clusters."
)


class RootCAPublisher(Controller):
    """Makes the ConfigMap, and repairs it when somebody changes or deletes it."""

    name = "root-ca-certificate-publisher-controller"
    queue_name = "root_ca_cert_publisher"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock, *, root_ca: str) -> None:
        self.root_ca = root_ca
        self.namespaces = informers.informer("v1", "namespaces").lister
        maps = informers.informer("v1", "configmaps", field_selector=f"metadata.name={NAME}")
        maps.follow(self._touch, self._touch)
        self.maps = maps
        self.resource = client.resource("v1", "configmaps")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "namespaces", keys=_own_name)]

    async def started(self) -> None:
        await self.maps.synced()

    def _touch(self, config_map: Object) -> None:
        if name_of(config_map) == NAME:
            self.queue.add(ObjectKey("", namespace_of(config_map)))

    async def reconcile(self, key: ObjectKey) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or status_of(namespace).get("phase") != "Active":
            return
        data = {KEY: self.root_ca}
        stored = self.maps.lister.get(key.name, NAME)
        if stored is None:
            await self._create(key.name, data)
            return
        present = annotations_of(stored)
        if stored.get("data") != data or not present.get(DESCRIPTION):
            annotations = {**present, DESCRIPTION: TEXT}
            metadata = {**stored["metadata"], "annotations": annotations}
            await self.resource.update({**stored, "metadata": metadata, "data": data})

    async def _create(self, namespace: str, data: dict[str, str]) -> None:
        metadata = {"name": NAME, "namespace": namespace, "annotations": {DESCRIPTION: TEXT}}
        try:
            await self.resource.create(
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
            )
        except (errors.AlreadyExists, errors.NotFound):  # NotFound: the namespace has gone meanwhile
            return
        except errors.Forbidden as error:
            if not any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
                raise


def _own_name(namespace: Object) -> Iterable[ObjectKey]:
    return (ObjectKey("", name_of(namespace)),)
