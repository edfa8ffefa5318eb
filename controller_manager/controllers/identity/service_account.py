"""A `default` account in each namespace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, ObjectKey, name_of, namespace_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

ACCOUNTS = ("default",)


class ServiceAccountController(Controller):
    """Makes the accounts that every namespace has, and makes them again when they are deleted."""

    name = "serviceaccount-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.namespaces = informers.informer("v1", "namespaces").lister
        self.accounts = informers.informer("v1", "serviceaccounts").lister
        self.resource = client.resource("v1", "serviceaccounts")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "namespaces"), Watch("v1", "serviceaccounts", keys=_namespace_of, changed=_never)]

    async def reconcile(self, key: ObjectKey) -> None:
        namespace = self.namespaces.get(key)
        if namespace is None or status_of(namespace).get("phase") != "Active":
            return
        for account in ACCOUNTS:
            if self.accounts.get(key.name, account) is None:
                await self._create(key.name, account)

    async def _create(self, namespace: str, account: str) -> None:
        metadata = {"name": account, "namespace": namespace}
        try:
            await self.resource.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        except errors.AlreadyExists:
            return
        except errors.Forbidden as error:
            if not any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
                raise


def _namespace_of(account: Object) -> Iterable[ObjectKey]:
    return (ObjectKey("", namespace_of(account)),) if name_of(account) in ACCOUNTS else ()


def _never(old: Object, new: Object) -> bool:
    return False
