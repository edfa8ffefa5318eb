"""What the cloud knows of a node: its id, its type, its zone, its addresses. A new node may take pods only then."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_controller_manager.provider import Instance, Instances
from kubarium.apimachinery.object import Object, ObjectKey, annotations_of, labels_of, name_of, spec_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"
PROVIDED_NODE_IP = "alpha.kubernetes.io/provided-node-ip"
INSTANCE_TYPE = "node.kubernetes.io/instance-type"
ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"


class NodeController(Controller):
    """Initialises nodes whose kubelet was started with `--cloud-provider=external`; then keeps their addresses."""

    name = "cloud-node-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        instances: Instances,
        events: EventRecorder,
        update_frequency: float,
    ) -> None:
        self._instances, self._events = instances, events
        self._update_frequency = update_frequency
        super().__init__(client, informers, clock)
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "nodes")

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "nodes", changed=lambda old, new: is_uninitialized(new))]

    async def reconcile(self, key: ObjectKey) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            return None
        instance = await self._instances.find(node)
        if instance is None:
            return self._update_frequency
        addresses = {"status": {"addresses": addresses_of(node, instance)}}
        if addresses["status"]["addresses"] != ((node.get("status") or {}).get("addresses") or []):
            await self._api.patch(name_of(node), addresses, type="merge", subresource="status")
            if is_uninitialized(node):
                node = await self._api.get(name_of(node))
        if is_uninitialized(node):
            await self._api.patch(name_of(node), initialisation(node, instance), type="merge")
            self._events.event(node, "Normal", "Synced", "Node synced successfully")
        elif changes := {n: v for n, v in labels_from(instance).items() if labels_of(node).get(n) != v}:
            await self._api.patch(name_of(node), {"metadata": {"labels": changes}}, type="merge")
        return self._update_frequency


def is_uninitialized(node: Object) -> bool:
    """Does it wait for us?"""
    return any(taint.get("key") == UNINITIALIZED for taint in spec_of(node).get("taints") or [])


def labels_from(instance: Instance) -> dict[str, str]:
    """What the cloud says about the machine, as far as it says anything."""
    labels = {INSTANCE_TYPE: instance.instance_type, ZONE: instance.zone, REGION: instance.region}
    return {name: value for name, value in labels.items() if value}


def addresses_of(node: Object, instance: Instance) -> list[Object]:
    """The machine's addresses; what the kubelet was told to use is all there is of its type. The name stays."""
    asked = annotations_of(node).get(PROVIDED_NODE_IP, "").split(",")  # one, or one of each family
    found = [{"type": kind, "address": address} for kind, address in instance.addresses]
    chosen = [each for address in asked for each in found if each["address"] == address]
    kinds = {each["type"] for each in chosen}
    found = [*chosen, *(each for each in found if each["type"] not in kinds)]
    known = (node.get("status") or {}).get("addresses") or []
    if not any(each["type"] == "Hostname" for each in found):
        found += [each for each in known if each["type"] == "Hostname"]
    return found


def initialisation(node: Object, instance: Instance) -> Object:
    """The patch that makes a node known to its cloud and lets pods in."""
    taints = [taint for taint in spec_of(node).get("taints") or [] if taint.get("key") != UNINITIALIZED]
    return {
        "metadata": {
            "resourceVersion": node["metadata"]["resourceVersion"],
            "labels": labels_from(instance),
        },
        "spec": {"providerID": instance.provider_id, "taints": taints or None},
    }
