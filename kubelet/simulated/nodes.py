"""The Node objects and Leases of all simulated nodes: made, kept true, renewed, taken away when there are too many.

register    list ours -> delete the superfluous, create the missing (with their first Lease), adopt the others
renew       each Lease twice in its duration, evenly spread over that time
repair      a node whose Ready condition somebody else has changed says again that it is ready
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from kubarium.api.core import taints
from kubarium.apimachinery import conditions, errors, quantity, time
from kubarium.apimachinery.object import Object, copy, labels_of, name_of, status_of, uid_of
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.client.work_queue import WorkQueue
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.node import lease as leases
from kubelet.node import machine
from kubelet.node import status as node_status
from kubelet.node.status import Health, NodeFacts
from kubelet.runtime.interface import RuntimeInfo
from kubelet.simulated import addresses
from kubelet.simulated.addresses import Addresses
from kubelet.simulated.life import RUNTIME_NAME
from kubelet.simulated.options import Options

log = logging.get(__name__)

T = TypeVar("T")

LABEL = "kubarium.io/simulated"
METRICS_PATH = "metrics.k8s.io/resource-metrics-path"  # where metrics-server asks when nodes share an address
RENEWERS = 4


@dataclass(slots=True)
class SimulatedNode:
    """What is remembered of one node."""

    name: str
    pod_cidr: str
    addresses: Addresses
    uid: str = ""  # of its Node, once that is there
    lease: Object | None = field(default=None, repr=False)
    reported_at: float = 0.0  # monotonic


class Nodes:
    """The only writer of these Nodes' statuses and Leases."""

    def __init__(self, options: Options, client: Client, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._nodes = client.resource("v1", "nodes")
        self._leases = client.resource("coordination.k8s.io/v1", "leases")
        self._machine = machine.look()
        max_pods = quantity.value(options.capacity.get("pods", "110"))
        self._ours: dict[str, SimulatedNode] = {}
        for index in range(options.count):
            name, cidr = f"{options.prefix}{index + 1}", addresses.subnet(options.pod_cidr, max_pods, index)
            self._ours[name] = SimulatedNode(name, cidr, Addresses(cidr))
        self._repairs: WorkQueue[str] = WorkQueue(clock)
        self.registered = asyncio.Event()

    def addresses_of(self, node_name: str) -> Addresses | None:
        """The addresses of a node's pods; None for a node that is not ours."""
        node = self._ours.get(node_name)
        return node.addresses if node is not None else None

    def connect(self, informers: Informers) -> None:
        """See when somebody changes or deletes our nodes."""
        informer = informers.informer("v1", "nodes", label_selector=f"{LABEL}=true", transform=_trimmed)
        informer.follow(self._look, lambda node: self._forget(name_of(node), uid_of(node)))

    # -- registration ----------------------------------------------------------------------------------------------

    async def register(self) -> None:
        """Make the nodes that there are those that there should be; tried again until the API server lets us."""
        while not self.registered.is_set():
            try:
                await self._register()
                self.registered.set()
            except* (errors.StatusError, OSError, TimeoutError) as group:
                log.info("nodes not registered yet: %s", group.exceptions[0])
                await self._clock.sleep(0.5)
        log.info("%d nodes registered", len(self._ours))

    async def _register(self) -> None:
        present = await self._nodes.list(label_selector=f"{LABEL}=true")
        known = {name_of(node): node for node in present["items"]}
        superfluous = [name for name in known if name not in self._ours]
        await self._for_each(superfluous, self._delete)
        missing = [node for name, node in self._ours.items() if not node.uid and name not in known]
        await self._for_each(missing, self._create)
        adopted = [(node, known[name]) for name, node in self._ours.items() if name in known and not node.uid]
        await self._for_each(adopted, lambda pair: self._adopt(*pair))

    async def _for_each(self, items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
        """Many at the same time, but not all."""
        rest = iter(items)

        async def worker() -> None:
            for item in rest:
                await work(item)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._options.senders):
                tasks.create_task(worker())

    async def _delete(self, name: str) -> None:
        try:
            await self._nodes.delete(name)
        except errors.NotFound:
            return

    async def _create(self, node: SimulatedNode) -> None:
        try:
            created = await self._nodes.create(self._new_node(node))
        except errors.AlreadyExists:
            created = await self._nodes.get(node.name)
            if LABEL not in labels_of(created):
                log.error("node %s is there and no simulated one: it is left alone", node.name)
                self._ours.pop(node.name, None)
                return
        node.uid, node.reported_at = uid_of(created), self._clock.monotonic()
        await self._renew(node)

    async def _adopt(self, node: SimulatedNode, present: Object) -> None:
        """It was made by an earlier process like this one."""
        cidr = (present.get("spec") or {}).get("podCIDR")
        if cidr and cidr != node.pod_cidr:
            node.pod_cidr, node.addresses = cidr, Addresses(cidr)
        node.uid = uid_of(present)
        wanted = self._labels(node)
        missing = {key: value for key, value in wanted.items() if labels_of(present).get(key) != value}
        if missing:
            await self._nodes.patch(node.name, {"metadata": {"labels": missing}})
        await self._report(node, present)
        await self._renew(node)

    def _new_node(self, node: SimulatedNode) -> Object:
        spec: Object = {
            "podCIDR": node.pod_cidr,
            "podCIDRs": [node.pod_cidr],
            "providerID": f"{RUNTIME_NAME}://{node.name}",
        }
        if self._options.register_with_taints:
            spec["taints"] = [taints.of_text(text) for text in self._options.register_with_taints]
        metadata: Object = {
            "name": node.name,
            "labels": self._labels(node),
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                METRICS_PATH: f"/metrics/nodes/{node.name}/metrics/resource",
            },
        }
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata,
            "spec": spec,
            "status": self._status(node, []),
        }

    def _labels(self, node: SimulatedNode) -> dict[str, str]:
        architecture = self._machine.architecture
        labels = {
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": architecture,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": architecture,
            LABEL: "true",
            "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        }
        if self._options.zones:
            number = list(self._ours).index(node.name) % self._options.zones + 1
            labels |= {
                "topology.kubernetes.io/zone": f"zone-{number}",
                "topology.kubernetes.io/region": "simulated",
            }
        return labels | self._options.node_labels

    def _status(self, node: SimulatedNode, present: list[Object]) -> Object:
        capacity = dict(self._options.capacity)
        facts = NodeFacts(
            name=node.name,
            ips=(self._options.node_ip,),
            hostname=node.name,
            machine=self._machine,
            root="",
            max_pods=quantity.value(capacity.get("pods", "110")),
            port=self._options.port,
            reserved={},
            eviction_hard={},
        )
        node_status.update_conditions(present, facts, Health(), {}, self._clock.now())
        return {
            "addresses": node_status.addresses(facts),
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": present,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._options.port}},
            "nodeInfo": node_status.node_info(facts, RuntimeInfo(RUNTIME_NAME, node_status.VERSION)),
        }

    # -- heartbeats ------------------------------------------------------------------------------------------------

    async def renew(self, share: int) -> None:
        """Renew the Leases of one share of the nodes for ever; run one task for each share."""
        await self.registered.wait()
        period = self._options.node_lease_duration_seconds / 2
        while True:
            began = self._clock.monotonic()
            mine = list(self._ours.values())[share::RENEWERS]
            for number, node in enumerate(mine):
                due = began + period * number / len(mine)
                await self._clock.sleep(max(0.0, due - self._clock.monotonic()))
                try:
                    await self._beat(node)
                except (errors.StatusError, OSError, TimeoutError) as error:
                    log.info("no heartbeat of node %s: %s", node.name, error)
                    node.lease = None
            await self._clock.sleep(max(0.1, began + period - self._clock.monotonic()))

    async def _beat(self, node: SimulatedNode) -> None:
        if not node.uid:  # it was deleted
            return
        await self._renew(node)
        if self._clock.monotonic() - node.reported_at >= self._options.node_status_report_frequency:
            await self._report(node, await self._nodes.get(node.name))

    async def _renew(self, node: SimulatedNode) -> None:
        spec = {
            "holderIdentity": node.name,
            "leaseDurationSeconds": self._options.node_lease_duration_seconds,
            "renewTime": time.format_micro_time(self._clock.now()),
        }
        if node.lease is None:
            owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid}
            metadata = {"name": node.name, "namespace": leases.NAMESPACE, "ownerReferences": [owner]}
            fresh: Object = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": metadata,
                "spec": spec,
            }
            try:
                node.lease = _kept(await self._leases.create(fresh))
                return
            except errors.AlreadyExists:
                present = await self._leases.get(node.name, leases.NAMESPACE)
                node.lease = _kept(
                    {**present, "metadata": {**present["metadata"], "ownerReferences": [owner]}}
                )
        node.lease = _kept(await self._leases.update({**node.lease, "spec": spec}))

    async def _report(self, node: SimulatedNode, present: Object) -> None:
        conditions_now = copy(present)["status"].get("conditions") or []
        status = self._status(node, conditions_now)
        patch = {key: value for key, value in status.items() if status_of(present).get(key) != value}
        if "addresses" in patch:
            patch["addresses"] = [{"$patch": "replace"}, *patch["addresses"]]
        await self._nodes.patch(node.name, {"status": patch}, type="strategic", subresource="status")
        node.reported_at = self._clock.monotonic()

    # -- what others do to our nodes -------------------------------------------------------------------------------

    async def repair(self) -> None:
        """Say again of nodes that they are ready."""
        await self.registered.wait()
        while True:
            name = await self._repairs.get()
            try:
                node = self._ours.get(name)
                if node is not None and node.uid:
                    await self._report(node, await self._nodes.get(name))
                    self._repairs.forget(name)
            except errors.NotFound:
                self._forget(name, "")
            except (errors.StatusError, OSError, TimeoutError) as error:
                log.info("node %s not repaired: %s", name, error)
                self._repairs.add_after(name, 1.0)
            finally:
                self._repairs.done(name)

    def _look(self, node: Object) -> None:
        ours = self._ours.get(name_of(node))
        if ours is None:
            return
        ours.uid = uid_of(node)
        if not conditions.is_true(node, "Ready"):
            self._repairs.add(ours.name)

    def _forget(self, name: str, uid: str) -> None:
        """A node that somebody deleted stays away until this process starts again."""
        node = self._ours.get(name)
        if node is not None and uid in ("", node.uid):
            log.info("node %s was deleted", name)
            node.uid, node.lease = "", None


def _trimmed(node: Object) -> Object:
    """Only what is asked of a node here."""
    metadata = {key: node["metadata"][key] for key in ("name", "uid", "resourceVersion")}
    ready = conditions.find(status_of(node).get("conditions"), "Ready")
    return {"metadata": metadata, "status": {"conditions": [ready] if ready is not None else []}}


def _kept(lease: Object) -> Object:
    """What of a Lease is needed to write it again."""
    metadata = {
        key: lease["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "ownerReferences")
        if key in lease["metadata"]
    }
    return {"apiVersion": lease["apiVersion"], "kind": lease["kind"], "metadata": metadata}
