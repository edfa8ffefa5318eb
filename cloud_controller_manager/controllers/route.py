"""A route for the pod range of each node, in clouds that route by tables."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_controller_manager.provider import Routes
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, ObjectKey, name_of, spec_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

UNAVAILABLE = "NetworkUnavailable"


class RouteController(Controller):
    """Keeps the cloud's routes in line with `spec.podCIDR`, and says so in the node's status."""

    name = "node-route-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        routes: Routes,
        events: EventRecorder,
        period: float,
    ) -> None:
        self._routes, self._events, self._period = routes, events, period
        self._routed: dict[ObjectKey, Object] = {}
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", changed=_range_differs)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            await self._give_back(key)
            return None
        if not spec_of(node).get("podCIDR"):
            return None
        try:
            await self._routes.ensure(node, spec_of(node)["podCIDR"])
        except ConnectionError as error:
            text = f"Could not create route {spec_of(node)['podCIDR']} for node {name_of(node)}: {error}"
            self._events.event(node, "Warning", "FailedToCreateRoute", text)
            await self._publish(node, "True", "NoRouteCreated", "RouteController failed to create a route")
            return self._period
        self._routed[key] = node
        await self._publish(node, "False", "RouteCreated", "RouteController created a route")
        return None

    async def _give_back(self, key: ObjectKey) -> None:
        gone = self._routed.get(key)
        if gone is not None:
            await self._routes.delete(gone)
            del self._routed[key]

    async def _publish(self, node: Object, status: str, reason: str, message: str) -> None:
        known = conditions.find((node.get("status") or {}).get("conditions"), UNAVAILABLE)
        if known is not None and known["status"] == status:
            return
        now = time.format_time(self.clock.now())
        condition = {"type": UNAVAILABLE, "status": status, "reason": reason, "message": message}
        times = {"lastTransitionTime": now, "lastHeartbeatTime": now}
        patch = {"status": {"conditions": [condition | times]}}
        await self._api.patch(name_of(node), patch, type="strategic", subresource="status")


def _range_differs(old: Object, new: Object) -> bool:
    return spec_of(old).get("podCIDR") != spec_of(new).get("podCIDR")
