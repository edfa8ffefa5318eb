"""A machine that is gone takes its Node with it; one that is switched off gets no pods."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from cloud_controller_manager.provider import Instances
from kubarium.api.core import taints
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, ObjectKey, name_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

SHUT_DOWN = "node.cloudprovider.kubernetes.io/shutdown"


class NodeLifecycleController(Controller):
    """Asks the cloud about nodes that are not ready."""

    name = "cloud-node-lifecycle-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        instances: Instances,
        events: EventRecorder,
        monitor_period: float,
    ) -> None:
        self._instances, self._events = instances, events
        self._monitor_period = monitor_period
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", changed=_readiness_differs)]

    async def reconcile(self, key: ObjectKey) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            return None
        if conditions.is_true(node, "Ready"):
            await self._set_shut_down(node, False)
            return None
        if await self._instances.find(node) is not None:
            await self._set_shut_down(node, await self._instances.is_shut_down(node))
            return self._monitor_period
        text = f"Deleting node {name_of(node)} because it does not exist in the cloud provider"
        self._events.event(node, "Normal", "DeletingNode", text)
        with contextlib.suppress(errors.NotFound):
            await self._api.delete(name_of(node), preconditions={"uid": uid_of(node)})
        return None

    async def _set_shut_down(self, node: Object, shut_down: bool) -> None:
        """The taint that says so: pods that tolerate it stay where they are until the machine is switched on."""
        if taints.has(node, SHUT_DOWN, taints.NO_SCHEDULE) == shut_down:
            return
        wanted = [taint for taint in taints.taints_of(node) if taint["key"] != SHUT_DOWN]
        if shut_down:
            wanted.append({"key": SHUT_DOWN, "effect": taints.NO_SCHEDULE})
        version = {"resourceVersion": node["metadata"]["resourceVersion"]}
        await self._api.patch(name_of(node), {"metadata": version, "spec": {"taints": wanted or None}})


def _readiness_differs(old: Object, new: Object) -> bool:
    return conditions.is_true(old, "Ready") != conditions.is_true(new, "Ready")
