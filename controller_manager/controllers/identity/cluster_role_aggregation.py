"""Roles made of roles: a ClusterRole with an `aggregationRule` gets the rules of all that its selectors match."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.apimachinery import labels
from kubarium.apimachinery.object import Object, ObjectKey, labels_of, name_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

MANAGER = "clusterrole-aggregation-controller"


class ClusterRoleAggregationController(Controller):
    """Writes the rules of aggregated roles."""

    name = "clusterrole-aggregation-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.roles = informers.informer("rbac.authorization.k8s.io/v1", "clusterroles").lister
        self.resource = client.resource("rbac.authorization.k8s.io/v1", "clusterroles")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("rbac.authorization.k8s.io/v1", "clusterroles", keys=self._affected)]

    def _affected(self, role: Object) -> Iterable[ObjectKey]:
        """Every aggregated role: which of them selected the role before its labels changed is not known."""
        return [ObjectKey("", name_of(one)) for one in self.roles.list() if one.get("aggregationRule")]

    async def reconcile(self, key: ObjectKey) -> None:
        role = self.roles.get(key)
        if role is None or not role.get("aggregationRule"):
            return
        wanted = aggregate(role, self.roles.list())
        if wanted == (role.get("rules") or []):
            return
        applied = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": key.name},
            "rules": wanted,
        }
        await self.resource.apply(applied, field_manager=MANAGER, force=True)


def aggregate(role: Object, roles: Iterable[Object]) -> list[Object]:
    """The rules of all other roles that the selectors match, in the order of names, each once."""
    found: list[Object] = []
    ordered = sorted((one for one in roles if name_of(one) != name_of(role)), key=name_of)
    for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or []:
        matcher = labels.from_label_selector(selector)
        for one in ordered:
            if matcher.matches(labels_of(one)):
                for rule in one.get("rules") or []:
                    if rule not in found:
                        found.append(rule)
    return found
