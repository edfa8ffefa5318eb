"""A machine that is gone takes its Node with it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from cloud_controller_manager.provider import Instances
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, ObjectKey, name_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

CHECK_SECONDS = 5.0


class NodeLifecycleController(Controller):
    """Asks the cloud about nodes that are not ready."""

    name = "cloud-node-lifecycle-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, instances: Instances, events: EventRecorder
    ) -> None:
        self._instances, self._events = instances, events
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", changed=_readiness_differs)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        node = self._nodes.get(key)
        if node is None or conditions.is_true(node, "Ready"):
            return None
        if await self._instances.find(node) is not None:
            return CHECK_SECONDS
        text = f"Deleting node {name_of(node)} because it does not exist in the cloud provider"
        self._events.event(node, "Normal", "DeletingNode", text)
        with contextlib.suppress(errors.NotFound):
            await self._api.delete(name_of(node), preconditions={"uid": uid_of(node)})
        return None


def _readiness_differs(old: Object, new: Object) -> bool:
    return conditions.is_true(old, "Ready") != conditions.is_true(new, "Ready")
