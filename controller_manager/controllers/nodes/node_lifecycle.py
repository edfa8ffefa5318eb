"""No heartbeat → Unknown → taints.

    every 5 s, for each node:
      1. a new heartbeat (a renewed Lease, or a new status)?   remember when, by our own clock
      2. none for the grace period                             conditions become Unknown
      3. lost, having been Ready                               its pods become not ready; Services forget them
      4. not Ready                                             queue it for a NoExecute taint, which drives pods away
    per zone: how many nodes are lost decides how fast the queue is emptied. When all nodes of all zones are lost,
    the fault is more likely on our side: nothing is evicted.

A node that nobody has said anything about is left alone, and the pods of a kubelet that calls itself not ready are its
own business; but a pod that comes to a node that is not ready is not ready either. On every change of a node,
`NoSchedule` taints follow its conditions.
Source: https://kubernetes.io/docs/concepts/architecture/nodes/#node-controller
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controller_manager import metrics
from kubarium.api.core import taints
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors, time
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    resource_version_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

ATTEMPTS = 5  # to write a pod that others are writing to

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
LEASES = "kube-node-lease"
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")

NORMAL, PARTIAL, FULL = "Normal", "PartialDisruption", "FullDisruption"

OS_LABELS = {"kubernetes.io/os": "beta.kubernetes.io/os", "kubernetes.io/arch": "beta.kubernetes.io/arch"}


@dataclass(frozen=True)
class Settings:
    """How patient and how hasty the controller is."""

    monitor_period: float = 5.0  # seconds
    grace_period: float = 50.0  # seconds
    startup_grace_period: float = 60.0  # seconds
    eviction_rate: float = 0.1  # nodes per second
    secondary_eviction_rate: float = 0.01  # nodes per second, in a large zone that is in trouble
    large_cluster_size: int = 50  # nodes; smaller zones in trouble evict nothing
    unhealthy_zone_threshold: float = 0.55


@dataclass
class Health:
    """What is known about one node's heartbeats."""

    heard: float  # when, by our own clock
    ready: Object | None = None
    lease: Object | None = None
    marked: bool = True  # have its pods been told that it is lost?


@dataclass
class Zone:
    """The nodes of one zone that wait for their taint, and how fast they get it."""

    state: str = NORMAL
    rate: float = 0.1  # nodes per second
    tokens: float = 1.0
    filled: float = 0.0  # when the tokens were last counted
    waiting: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def take(self, now: float) -> str | None:
        """The next node whose turn has come."""
        self.tokens = min(1.0, self.tokens + (now - self.filled) * self.rate)
        self.filled = now
        if not self.waiting or self.rate <= 0 or self.tokens < 1.0:
            return None
        self.tokens -= 1.0
        return self.waiting.popitem(last=False)[0]


class NodeLifecycleController(Controller):
    """Watches over heartbeats. `reconcile` keeps taints and labels that follow from a node's own state."""

    name = "node-lifecycle-controller"
    workers = 8

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self.events = events
        self.nodes = informers.informer("v1", "nodes").lister
        pods = informers.informer("v1", "pods")
        pods.add_index("node", lambda pod: [spec_of(pod).get("nodeName") or ""])
        self.pods = pods.lister
        leases = informers.informer("coordination.k8s.io/v1", "leases", namespace=LEASES)
        self.lease_informer, self.leases = leases, leases.lister
        self.node_client, self.pod_client = client.resource("v1", "nodes"), client.resource("v1", "pods")
        self._health: dict[str, Health] = {}
        self._zones: dict[str, Zone] = {}
        self._known: dict[str, Object] = {}
        self._all_lost = False
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "nodes", changed=_looks_different),
            Watch("v1", "pods", keys=_if_bound, changed=_was_bound),
        ]

    async def run(self) -> None:
        await self.lease_informer.synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run(), name="node taints")
            group.create_task(self._monitor(), name="node monitor")
            group.create_task(self._taint_in_turn(), name="node evictions")

    # ---- what follows from the node's own state

    async def reconcile(self, key: ObjectKey) -> None:
        if key.namespace:
            await self._look_at_pod(key)
            return
        node = self.nodes.get(key)
        if node is None:
            return
        wanted = taints.by_conditions(node)
        current = {
            taint["key"]
            for taint in taints.taints_of(node)
            if taint.get("effect") == taints.NO_SCHEDULE and taint.get("key") in taints.MANAGED_KEYS
        }
        if wanted != current:
            await self._write_taints(node, taints.with_no_schedule(node, wanted, self.clock.now()))
        missing = {
            old: labels_of(node)[new]
            for new, old in OS_LABELS.items()
            if new in labels_of(node) and labels_of(node).get(old) != labels_of(node)[new]
        }
        if missing:
            await self.node_client.patch(key.name, {"metadata": {"labels": missing}})

    async def _write_taints(self, node: Object, wanted: list[Object]) -> None:
        """Guarded: taints that others have just added must not be lost."""
        guard = {"resourceVersion": resource_version_of(node)}
        try:
            await self.node_client.patch(
                name_of(node), {"metadata": guard, "spec": {"taints": wanted or None}}
            )
        except errors.NotFound:
            return

    # ---- heartbeats

    async def _monitor(self) -> None:
        for informer in self._watched:
            await informer.synced()
        while True:
            try:
                await self.look_at_all()
            except Exception as error:  # the edge of the loop
                log.warning("cannot look at the nodes: %s", error, exc_info=errors.is_surprising(error))
            await self.clock.sleep(self.settings.monitor_period)

    async def look_at_all(self) -> None:
        """One round over all nodes."""
        nodes = {name_of(node): node for node in self.nodes.list()}
        self._note_arrivals(nodes)
        ready: dict[str, str] = {}
        for name, node in nodes.items():
            try:
                ready[name] = await self._look_at(node)
            except (errors.StatusError, ConnectionError, TimeoutError) as error:
                log.info("node %s: %s", name, error)
        if self._judge_zones(nodes, ready):
            await self._spare(nodes.values())

    def _note_arrivals(self, nodes: dict[str, Object]) -> None:
        for name in nodes.keys() - self._known.keys():
            text = f"Node {name} event: Registered Node {name} in Controller"
            self.events.event(nodes[name], "Normal", "RegisteredNode", text)
        for name in self._known.keys() - nodes.keys():
            text = f"Node {name} event: Removing Node {name} from Controller"
            self.events.event(self._known[name], "Normal", "RemovingNode", text)
            self._health.pop(name, None)
            for zone in self._zones.values():
                zone.waiting.pop(name, None)
        self._known = nodes

    async def _look_at(self, node: Object) -> str:
        """Returns the node's Ready status as of now."""
        name, now = name_of(node), self.clock.monotonic()
        is_new = name not in self._health
        health, grace = self._hear(node)
        posted = _ready_of(node)
        if now - health.heard > grace:
            node = await self._lose(node)
            health.ready = conditions.find(status_of(node).get("conditions"), "Ready")
        current = _ready_of(node)
        if not current:  # nobody has said anything about it yet, and that is no reason for anything
            return ""
        if current != "True" and posted == "True":
            self.events.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            health.marked = False
        elif is_new and current == "Unknown":
            health.marked = False  # whoever led before us may not have come so far
        if current == "True":
            health.marked = True
        elif not health.marked:
            await self._mark_pods_not_ready(name)
            health.marked = True
        await self._queue_or_release(node, current)
        return current

    async def _look_at_pod(self, key: ObjectKey) -> None:
        """A pod that comes to a node that is not ready is not ready either."""
        pod = self.pods.get(key)
        health = self._health.get(spec_of(pod).get("nodeName") or "") if pod is not None else None
        if pod is None or health is None or health.ready is None or health.ready.get("status") == "True":
            return
        await self._mark_if_ready(pod)

    def _hear(self, node: Object) -> tuple[Health, float]:
        """Is there a newer heartbeat than the last one we heard? And for how long may the node be silent?"""
        name, now = name_of(node), self.clock.monotonic()
        ready = conditions.find(status_of(node).get("conditions"), "Ready")
        lease = self.leases.get(LEASES, name)
        known = self._health.get(name)
        if known is None:
            known = self._health[name] = Health(now, ready, lease)
            return known, self.settings.startup_grace_period if ready is None else self.settings.grace_period
        if _newer(lease, known.lease) or (ready is not None and _posted(ready) != _posted(known.ready)):
            known.heard = now
        known.lease, known.ready = lease or known.lease, ready
        return known, self.settings.startup_grace_period if ready is None else self.settings.grace_period

    async def _lose(self, node: Object) -> Object:
        """Write down that nothing is known about the node any more."""
        changed = copy(node)
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        now = time.format_time(self.clock.now())
        lost = False
        for type in WATCHED:
            known = conditions.find(listed, type)
            if known is None:
                listed.append(
                    {
                        "type": type,
                        "status": "Unknown",
                        "reason": "NodeStatusNeverUpdated",
                        "message": "Kubelet never posted node status.",
                        "lastHeartbeatTime": node["metadata"].get("creationTimestamp"),
                        "lastTransitionTime": now,
                    }
                )
                lost = True
            elif known.get("status") != "Unknown":
                known |= {
                    "status": "Unknown",
                    "reason": "NodeStatusUnknown",
                    "message": "Kubelet stopped posting node status.",
                    "lastTransitionTime": now,
                }
                lost = True
        if not lost:
            return node
        log.info("node %s has been silent for too long", name_of(node))
        return await self.node_client.update_status(changed)

    async def _mark_pods_not_ready(self, node: str) -> None:
        for pod in self.pods.by_index("node", node):
            await self._mark_if_ready(pod)

    async def _mark_if_ready(self, pod: Object) -> None:
        if pod_status.is_ready(pod) and await self._mark_not_ready(pod):
            self.events.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _mark_not_ready(self, pod: Object) -> bool:
        """True if the pod was ready and is no more. Others write to pods too: read it again and try again."""
        for _ in range(ATTEMPTS):
            changed = copy(pod)
            ready = conditions.find(changed["status"]["conditions"], pod_status.READY)
            assert ready is not None
            ready["status"] = "False"
            ready["lastTransitionTime"] = time.format_time(self.clock.now())
            try:
                await self.pod_client.update_status(changed)
                return True
            except errors.NotFound:
                return False
            except errors.Conflict:
                pod = await self.pod_client.get(name_of(pod), namespace_of(pod))
                if not pod_status.is_ready(pod):
                    return False
        return False

    # ---- zones and evictions

    async def _queue_or_release(self, node: Object, ready: str) -> None:
        name, zone = name_of(node), self._zone(node)
        wanted = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}.get(ready)
        others = {taints.NOT_READY, taints.UNREACHABLE} - {wanted}
        tainted = any(
            taints.has(node, key, taints.NO_EXECUTE) for key in (taints.NOT_READY, taints.UNREACHABLE)
        )
        if wanted is None:
            zone.waiting.pop(name, None)
            if tainted:
                await self._write_taints(node, taints.with_no_execute(node, None, self.clock.now()))
        elif any(taints.has(node, key, taints.NO_EXECUTE) for key in others):
            await self._write_taints(node, taints.with_no_execute(node, wanted, self.clock.now()))
        elif not tainted:
            zone.waiting.setdefault(name, None)

    def _zone(self, node: Object) -> Zone:
        key = zone_name(node)
        if key not in self._zones:
            self._zones[key] = Zone(rate=self.settings.eviction_rate, filled=self.clock.monotonic())
        return self._zones[key]

    async def _spare(self, nodes: Iterable[Object]) -> None:
        """Nobody is evicted from anywhere: it will be us who cannot hear."""
        for node in nodes:
            if taints.has(node, taints.NOT_READY, taints.NO_EXECUTE) or taints.has(
                node, taints.UNREACHABLE, taints.NO_EXECUTE
            ):
                try:
                    live = await self.node_client.get(name_of(node))
                    await self._write_taints(live, taints.with_no_execute(live, None, self.clock.now()))
                except (errors.StatusError, ConnectionError, TimeoutError) as error:
                    log.info("node %s: %s", name_of(node), error)

    def _judge_zones(self, nodes: dict[str, Object], ready: dict[str, str]) -> bool:
        """Set the pace of each zone. True: there is no node left that is ready."""
        members: dict[int, list[str]] = {}
        zones: dict[int, Zone] = {}
        for name, node in nodes.items():
            zone = self._zone(node)
            zones[id(zone)] = zone
            members.setdefault(id(zone), []).append(ready.get(name, "Unknown"))
        for key, zone in zones.items():
            state = zone_state(members[key], self.settings.unhealthy_zone_threshold)
            if state != zone.state:
                log.info("a zone of %d nodes is now in state %s", len(members[key]), state)
            zone.state = state
        all_lost = bool(zones) and all(zone.state == FULL for zone in zones.values())
        for key, zone in zones.items():
            zone.rate = 0.0 if all_lost else self._rate(zone.state, len(members[key]))
        if self._all_lost and not all_lost:  # the others get the time to be heard as well
            for health in self._health.values():
                health.heard = self.clock.monotonic()
        self._all_lost = all_lost
        return all_lost

    def _rate(self, state: str, size: int) -> float:
        if state != PARTIAL:
            return self.settings.eviction_rate
        return self.settings.secondary_eviction_rate if size > self.settings.large_cluster_size else 0.0

    async def _taint_in_turn(self) -> None:
        while True:
            for zone in list(self._zones.values()):
                name = zone.take(self.clock.monotonic())
                if name is None:
                    continue
                try:
                    await self._taint(name)
                except Exception as error:  # the edge of the loop
                    surprising = errors.is_surprising(error)
                    log.warning("cannot taint node %s: %s", name, error, exc_info=surprising)
                    zone.waiting[name] = None
            await self.clock.sleep(0.1)

    async def _taint(self, name: str) -> None:
        try:
            node = await self.node_client.get(name)
        except errors.NotFound:
            return
        key = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}.get(taints.ready_status(node))
        if key is not None and not taints.has(node, key, taints.NO_EXECUTE):
            log.info("tainting node %s with %s", name, key)
            metrics.NODE_EVICTIONS.add((zone_name(node),))
            await self._write_taints(node, taints.with_no_execute(node, key, self.clock.now()))


def zone_name(node: Object) -> str:
    """Upstream's name of the zone in which a node is."""
    labels = labels_of(node)
    region, zone = labels.get(REGION) or "", labels.get(ZONE) or ""
    return f"{region}:\x00:{zone}" if region or zone else ""


def zone_state(ready: Iterable[str], threshold: float) -> str:
    """How bad it is: from the Ready status of all nodes of a zone."""
    listed = list(ready)
    lost = sum(1 for status in listed if status != "True")
    if lost > 0 and lost == len(listed):
        return FULL
    if lost > 2 and lost / len(listed) >= threshold:
        return PARTIAL
    return NORMAL


def _ready_of(node: Object) -> str:
    """True, False or Unknown; nothing as long as nobody has said."""
    return (conditions.find(status_of(node).get("conditions"), "Ready") or {}).get("status") or ""


def _if_bound(pod: Object) -> Iterable[ObjectKey]:
    return (key_of(pod),) if spec_of(pod).get("nodeName") else ()


def _was_bound(old: Object, new: Object) -> bool:
    return spec_of(old).get("nodeName") != spec_of(new).get("nodeName")


def _newer(lease: Object | None, known: Object | None) -> bool:
    if lease is None:
        return False
    return known is None or spec_of(lease).get("renewTime") != spec_of(known).get("renewTime")


def _posted(condition: Object | None) -> tuple[object, ...]:
    if condition is None:
        return ()
    return condition.get("lastHeartbeatTime"), condition.get("status"), condition.get("lastTransitionTime")


def _looks_different(old: Object, new: Object) -> bool:
    def view(node: Object) -> tuple[object, ...]:
        listed = [(c.get("type"), c.get("status")) for c in status_of(node).get("conditions") or []]
        return (
            listed,
            taints.taints_of(node),
            labels_of(node),
            spec_of(node).get("unschedulable"),
            is_deleting(node),
        )

    return view(old) != view(new)
