"""Creates or adopts the Node object and keeps its status true."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, copy, labels_of, spec_of, status_of
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, sleep_unless
from kubelet.node import status as node_status
from kubelet.node.status import Health, NodeFacts
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, Image, RuntimeInfo

log = logging.get(__name__)

LOOK_PERIOD = 10.0  # seconds between looks (upstream's nodeStatusUpdateFrequency)
COMING_UP = 120.0  # seconds for which a node that is not ready yet is looked at twice a second
REPORT_PERIOD = 300.0  # seconds after which an unchanged status is sent all the same
KEPT_LABELS = ("kubernetes.io/os", "kubernetes.io/arch")  # whoever changes them is mistaken

# Condition -> what is said when it is False, when it is True.
EVENTS = {
    "MemoryPressure": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "DiskPressure": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "PIDPressure": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
    "Ready": ("NodeNotReady", "NodeReady"),
}


class NodeReporter:
    """The only writer of this node's status."""

    def __init__(
        self,
        client: Client,
        facts: NodeFacts,
        clock: Clock,
        *,
        labels: dict[str, str],
        taints: list[Object],
        register: bool,
        provider_id: str = "",
        look_period: float = LOOK_PERIOD,
        report_period: float = REPORT_PERIOD,
        max_images: int = 50,
        runtime: Callable[[], Awaitable[RuntimeInfo]],
        images: Callable[[], list[Image]],
        health: Callable[[], Awaitable[Health]],
        pressure: Callable[[], dict[str, bool]],
        volumes_in_use: Callable[[], list[str]] = list,
        devices: Callable[[], tuple[dict[str, str], dict[str, str]]] = lambda: ({}, {}),
        recorder: Recorder,
    ) -> None:
        self._nodes = client.resource("v1", "nodes")
        self._facts = facts
        self._clock = clock
        self._labels = labels
        self._taints = taints
        self._register = register
        self._provider_id = provider_id
        self._look_period = look_period
        self._report_period = report_period
        self._max_images = max_images
        self._runtime = runtime
        self._images = images
        self._health = health
        self._pressure = pressure
        self._volumes_in_use = volumes_in_use
        self._devices = devices
        self._told_in_use: set[str] = set()
        self._reported = asyncio.Event()
        self._wake = asyncio.Event()
        self._recorder = recorder
        self._is_closed = False
        self._told: dict[str, str] = {}  # condition -> the event that was last said about it
        self._last_report: float | None = None
        self._started = clock.monotonic()
        self._runtime_info = RuntimeInfo("containerd", "Unknown")
        self.allocatable: Object = {}
        self.capacity: Object = {}
        self._measure()

    async def run(self) -> None:
        """Register, then report on change and every five minutes."""
        while True:
            wait = self._look_period
            try:
                wait = await self.turn()
            except Exception:
                log.exception("node status not sent")
            await self._sleep(wait)

    async def turn(self) -> float:
        """Register if that is still to be done, and report; in so many seconds it is to be done again."""
        try:
            if self._register:
                await self.register()
                self._register = False
            await self.report()
            is_coming_up = self._clock.monotonic() - self._started < COMING_UP
            if self._last_report is not None and not self.is_ready and is_coming_up:
                return 0.5  # it is waited for
        except errors.NotFound as error:
            # Whoever deleted the node meant it: as upstream's, a kubelet joins once, when it starts.
            log.warning("node status not sent: %s", error)
        except (errors.StatusError, OSError, TimeoutError) as error:
            log.warning("node status not sent: %s", error)
            return 1.0
        return self._look_period

    is_ready = False

    def look_now(self) -> None:
        """Something that the status shows has changed."""
        self._wake.set()

    async def _sleep(self, seconds: float) -> None:
        try:
            await sleep_unless(self._clock, seconds, self._wake)
        finally:
            self._wake.clear()

    async def register(self) -> None:
        """Create the Node, or take over the one that is there: its labels must be ours."""
        node = await self._fresh_node()
        try:
            await self._nodes.create(node)
            log.info("node %s registered", self._facts.name)
            self.is_ready = _is_ready(node)
            return
        except errors.AlreadyExists:
            pass
        await self._put_labels_right(await self._nodes.get(self._facts.name), self._labels)
        log.info("node %s was registered before", self._facts.name)

    async def _put_labels_right(self, node: Object, keys: Iterable[str]) -> None:
        labels = labels_of(node)
        wanted = {key: self._labels[key] for key in keys if labels.get(key) != self._labels[key]}
        if wanted:
            await self._nodes.patch(self._facts.name, {"metadata": {"labels": wanted}})

    async def _fresh_node(self) -> Object:
        node: Object = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self._facts.name,
                "labels": self._labels,
                "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            },
            "spec": {},
            "status": {},
        }
        if self._provider_id:
            node["spec"]["providerID"] = self._provider_id
        if self._taints:
            node["spec"]["taints"] = self._taints
        await self._fill(node)
        return node

    async def report(self) -> None:
        """Send the status if it has changed or if it is time."""
        node = await self._nodes.get(self._facts.name)
        await self._put_labels_right(node, KEPT_LABELS)
        wanted = copy(node)
        await self._fill(wanted)
        now = self._clock.monotonic()
        is_due = self._last_report is None or now - self._last_report >= self._report_period
        self.is_ready = _is_ready(wanted)
        in_use = set(status_of(wanted).get("volumesInUse") or [])
        if not is_due and _without_heartbeats(status_of(node)) == _without_heartbeats(status_of(wanted)):
            self._note_in_use(in_use)
            return
        patch = {key: value for key, value in status_of(wanted).items() if status_of(node).get(key) != value}
        if "allocatable" in patch:  # an extended resource that is no longer in the capacity goes
            before = status_of(node).get("allocatable") or {}
            patch["allocatable"] = dict.fromkeys(before) | patch["allocatable"]
        if isinstance(patch.get("addresses"), list) and status_of(node).get("addresses"):
            patch["addresses"] = [{"$patch": "replace"}, *patch["addresses"]]
        await self._nodes.patch(self._facts.name, {"status": patch}, type="strategic", subresource="status")
        self._last_report = now
        self._note_in_use(in_use)

    def _note_in_use(self, volumes: set[str]) -> None:
        self._told_in_use = volumes
        self._reported.set()
        self._reported = asyncio.Event()

    async def told_in_use(self, volumes: Sequence[str]) -> None:
        """Returns when the node's status lists these volumes."""
        while not self._told_in_use.issuperset(volumes):
            self.look_now()
            await self._reported.wait()

    async def _fill(self, node: Object) -> None:
        """Write what is true now into a Node."""
        self._measure()
        _, health = await asyncio.gather(
            self._ask_runtime(), self._health()
        )  # it may take long to say nothing
        status = node.setdefault("status", {})
        present = status.setdefault("conditions", [])
        node_status.update_conditions(present, self._facts, health, self._pressure(), self._clock.now())
        self._tell(present)
        self._tell_of_the_node(node)
        extended = node_status.extended_of(node)
        present_devices, healthy_devices = self._devices()
        status |= {
            "addresses": node_status.addresses(self._facts),
            "capacity": extended | self.capacity | present_devices,
            "allocatable": extended | self.allocatable | healthy_devices,
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._facts.port}},
            "nodeInfo": node_status.node_info(self._facts, self._runtime_info),
            "images": node_status.images(self._images(), self._max_images),
            "declaredFeatures": node_status.declared_features(),
        }
        in_use = self._volumes_in_use()
        if in_use or status.get("volumesInUse"):
            status["volumesInUse"] = in_use

        if self._runtime_info.handlers:
            status["runtimeHandlers"] = node_status.handlers(self._runtime_info)
        if self._runtime_info.supplemental_groups_policy is not None:
            policy = self._runtime_info.supplemental_groups_policy
            status["features"] = {"supplementalGroupsPolicy": policy}

    async def _ask_runtime(self) -> None:
        try:
            self._runtime_info = await self._runtime()
        except ContainerRuntimeError as error:
            log.debug("runtime version unknown: %s", error)

    def _tell(self, present: list[Object]) -> None:
        """An event for each condition that is not what it was."""
        for condition in present:
            reasons = EVENTS.get(condition["type"])
            if reasons is None:
                continue
            reason = reasons[condition["status"] == "True"]
            if self._told.get(condition["type"]) != reason:
                self._told[condition["type"]] = reason
                self.event("Normal", reason, f"Node {self._facts.name} status is now: {reason}")

    def _tell_of_the_node(self, node: Object) -> None:
        """It was cordoned or is open again; the machine was started anew."""
        closed = bool(spec_of(node).get("unschedulable"))
        if closed != self._is_closed:
            self._is_closed = closed
            reason = "NodeNotSchedulable" if closed else "NodeSchedulable"
            self.event("Normal", reason, f"Node {self._facts.name} status is now: {reason}")
        before = (status_of(node).get("nodeInfo") or {}).get("bootID")
        boot = self._facts.machine.boot_id
        if before and before != boot:
            text = f"Node {self._facts.name} has been rebooted, boot id: {boot}"
            self.event("Warning", "Rebooted", text)

    def event(self, type: str, reason: str, message: str) -> None:
        """Say something about the node."""
        self._recorder.event(self.reference, type, reason, message)

    @property
    def reference(self) -> Object:
        """The node as events name it: as upstream, its name stands for its uid."""
        name = self._facts.name
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": name}}

    def _measure(self) -> None:
        self.capacity = node_status.capacity(self._facts)
        self.allocatable = node_status.allocatable(self._facts, self.capacity)

    @property
    def runtime(self) -> RuntimeInfo:
        """What is known of the runtime."""
        return self._runtime_info

    @property
    def runtime_name(self) -> str:
        """`containerd`, `cri-o` …: the prefix of container ids."""
        return self._runtime_info.name


def _is_ready(node: Object) -> bool:
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in status_of(node).get("conditions") or []
    )


def _without_heartbeats(status: Object) -> Object:
    kept = [
        {key: value for key, value in condition.items() if key != "lastHeartbeatTime"}
        for condition in status.get("conditions") or []
    ]
    return {**status, "conditions": kept}
