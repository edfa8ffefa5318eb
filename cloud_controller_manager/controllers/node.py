"""What the cloud knows of a new node: its id, its type, its zone; then it may take pods."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_controller_manager.provider import Instance, Instances
from kubarium.apimachinery.object import Object, ObjectKey, name_of, spec_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


class NodeController(Controller):
    """Initialises nodes whose kubelet was started with `--cloud-provider=external`."""

    name = "cloud-node-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock, instances: Instances) -> None:
        self._instances = instances
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes")]

    async def reconcile(self, key: ObjectKey) -> None:
        node = self._nodes.get(key)
        if node is None or not is_uninitialized(node):
            return
        instance = await self._instances.find(node)
        if instance is not None:
            await self._api.patch(name_of(node), initialisation(node, instance), type="merge")


def is_uninitialized(node: Object) -> bool:
    """Does it wait for us?"""
    return any(taint.get("key") == UNINITIALIZED for taint in spec_of(node).get("taints") or [])


def initialisation(node: Object, instance: Instance) -> Object:
    """The patch that makes a node known to its cloud and lets pods in."""
    labels = {INSTANCE_TYPE: instance.instance_type, ZONE: instance.zone, REGION: instance.region}
    taints = [taint for taint in spec_of(node).get("taints") or [] if taint.get("key") != UNINITIALIZED]
    return {
        "metadata": {
            "resourceVersion": node["metadata"]["resourceVersion"],
            "labels": {name: value for name, value in labels.items() if value},
        },
        "spec": {"providerID": instance.provider_id, "taints": taints or None},
    }
