"""A route for the pod range of each node, in clouds that route by tables."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_controller_manager.provider import Routes
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, ObjectKey, name_of, spec_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class RouteController(Controller):
    """Keeps the cloud's routes in line with `spec.podCIDR`, and says so in the node's status."""

    name = "route-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock, routes: Routes) -> None:
        self._routes = routes
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", changed=_range_differs)]

    async def reconcile(self, key: ObjectKey) -> None:
        node = self._nodes.get(key)
        if node is None or not spec_of(node).get("podCIDR"):
            return
        await self._routes.ensure(node, spec_of(node)["podCIDR"])
        if conditions.find((node.get("status") or {}).get("conditions"), "NetworkUnavailable") is None:
            now = time.format_time(self.clock.now())
            condition = {
                "type": "NetworkUnavailable",
                "status": "False",
                "reason": "RouteCreated",
                "message": "RouteController created a route",
                "lastTransitionTime": now,
                "lastHeartbeatTime": now,
            }
            patch = {"status": {"conditions": [condition]}}
            await self._api.patch(name_of(node), patch, type="strategic", subresource="status")


def _range_differs(old: Object, new: Object) -> bool:
    return spec_of(old).get("podCIDR") != spec_of(new).get("podCIDR")
