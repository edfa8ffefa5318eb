"""Builds the agent: informers feed what is known, one loop tells the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import prometheus_client

from addons.network_policy import plan
from addons.network_policy.leases import Lease, Leases
from addons.network_policy.members import IPV4, IPV6, Members
from addons.network_policy.nft import Kernel, KernelError
from addons.network_policy.nodes import Namespaces, Nodes, OneNode
from addons.network_policy.options import Options
from kubarium.api.core.pod import static
from kubarium.apimachinery.object import Object, ObjectKey, annotations_of, key_of
from kubarium.client.informer import Informers
from kubarium.client.kubeconfig import in_cluster, load
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock
from kubarium.component_base.health import metrics_page
from kubarium.component_base.inotify import FolderWatch
from kubarium.component_base.options import parse
from kubarium.component_base.process import Process
from kubarium.component_base.serving import Scope, pages, serve

NAME = "network-policy"
RETRY_SECONDS = 1.0
SYNC_SECONDS = prometheus_client.Histogram(
    "network_policy_sync_duration_seconds", "How long it took to plan and to tell the kernel"
)
POLICIES = prometheus_client.Gauge("network_policy_policies", "NetworkPolicies in the cluster")
ISOLATED = prometheus_client.Gauge(
    "network_policy_isolated_pods", "Isolated pods of a node", ["node", "direction"]
)

log = logging.get(__name__)


async def main(process: Process, argv: Sequence[str]) -> None:
    """Read flags, then enforce until stopped; the rules stay, so that a restart opens nothing."""
    options = parse(Options, argv, NAME)
    logging.setup(NAME, options.verbosity)
    name = options.hostname_override or socket.gethostname().lower()
    bridge = options.pod_bridge
    nodes = Namespaces(options.node_netns, bridge) if options.node_netns else OneNode(name, Kernel(bridge))
    if options.cleanup:
        for kernel in nodes.present().values():
            await kernel.clean_up()
        return
    config = load(options.kubeconfig) if options.kubeconfig else in_cluster()
    async with Client(config, user_agent=NAME) as client:
        with contextlib.closing(FolderWatch()) as watch:
            await start(process, options, client, nodes, watch, RealClock())


async def start(
    process: Process, options: Options, client: Client, nodes: Nodes, watch: FolderWatch, clock: Clock
) -> None:
    """Build every part and run until the process is asked to stop."""
    for kernel in nodes.present().values():
        await kernel.prepare()
    informers = Informers(client, clock)
    agent = Agent(nodes, clock)
    agent.follow(informers)
    agent.follow_notes(options.cni_notes, options.node_netns, watch)
    process.start("informers", informers.run())
    if options.metrics_bind_address:
        process.start("pages", _serve_pages(options.metrics_bind_address))
    await informers.synced()
    process.start("agent", agent.run(options.min_sync_period))
    process.start("guard", agent.look_after_rules(options.sync_period))
    log.info("enforcing network policies on %s", ", ".join(nodes.present()) or "nodes to come")
    await process.stopped()


class Agent:
    """Knows policies and pods, and brings the kernel of every node in line with them."""

    def __init__(self, nodes: Nodes, clock: Clock) -> None:
        self._nodes, self._clock = nodes, clock
        self._policies: dict[ObjectKey, Object] = {}
        self._members = [Members(IPV4), Members(IPV6)]
        self._families = {IPV4}  # and the other from the first pod on that has an address of it
        self._leases: Leases | None = None
        self._wanted = asyncio.Event()

    def follow(self, informers: Informers) -> None:
        """Pods and namespaces are kept as members only: their informers hold no more than what that needs."""

        def everywhere(note: Callable[[Members, Object], bool]) -> Callable[[Object], None]:
            def hear(obj: Object) -> None:
                changes = [note(members, obj) for members in self._members]
                self._changed(any(changes))

            return hear

        pods = informers.informer("v1", "pods", transform=_slim)
        pods.follow(everywhere(Members.put_pod), everywhere(Members.remove_pod))
        namespaces = informers.informer("v1", "namespaces")
        namespaces.follow(everywhere(Members.put_namespace), everywhere(Members.remove_namespace))
        policies = informers.informer("networking.k8s.io/v1", "networkpolicies")
        policies.follow(self._put_policy, self._remove_policy)

    def follow_notes(self, cni_notes: str, node_netns: str, watch: FolderWatch) -> None:
        """Hear of nodes when they come, and of pods' addresses when the network plugins give them."""
        if node_netns:
            watch.follow(Path(node_netns).parent, lambda name: self._changed(True))
        self._leases = Leases(cni_notes, watch, self._leased)

    def _leased(self, before: Lease | None, now: Lease | None) -> None:
        for members in self._members:
            if before is not None:
                self._changed(members.remove_lease(before))
            if now is not None:
                self._changed(members.put_lease(now))

    async def run(self, minimum_interval: float) -> None:
        """Sync now, then after each change; changes that come close together are taken together."""
        self._changed(True)
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.sync()
            except KernelError as error:
                log.warning("cannot apply rules, trying again: %s", error)
                self._changed(True)
                await self._clock.sleep(RETRY_SECONDS)
            await self._clock.sleep(minimum_interval)

    async def sync(self) -> None:
        """Plan (pure), then one transaction a node."""
        POLICIES.set(len(self._policies))
        nodes = self._nodes.present()
        if self._leases is not None:
            self._leases.follow(nodes)
        self._families |= {members.family for members in self._members if members.are_any}
        chosen = [members for members in self._members if members.family in self._families]
        failure = None
        with SYNC_SECONDS.time():
            for node, kernel in nodes.items():
                wanted = [plan.build(self._policies.values(), members, node) for members in chosen]
                ISOLATED.labels(node, plan.INGRESS).set(max(len(each.ingress) for each in wanted))
                ISOLATED.labels(node, plan.EGRESS).set(max(len(each.egress) for each in wanted))
                try:
                    if await kernel.apply(wanted):
                        log.debug("%s: %d chains", node, sum(len(each.chains) for each in wanted))
                except KernelError as error:  # of a node that comes or goes; the others must not wait for it
                    failure = error
        if failure is not None:
            raise failure

    async def look_after_rules(self, interval: float) -> None:
        """Somebody may flush all rules (a firewall that is loaded again): then they are written anew."""
        while True:
            await self._clock.sleep(interval)
            for node, kernel in self._nodes.present().items():
                if not await kernel.intact():
                    log.warning("no rules of ours on %s, writing them", node)
                    self._changed(True)

    def _put_policy(self, policy: Object) -> None:
        self._policies[key_of(policy)] = policy
        self._changed(True)

    def _remove_policy(self, policy: Object) -> None:
        self._policies.pop(key_of(policy), None)
        self._changed(True)

    def _changed(self, really: bool) -> None:
        if really:
            self._wanted.set()


_KEPT: dict[str, Callable[[Object], Object]] = {
    "spec": lambda spec: {
        "nodeName": spec.get("nodeName"),
        "hostNetwork": spec.get("hostNetwork"),
        "containers": [{"ports": each.get("ports")} for each in spec.get("containers") or []],
        "initContainers": [{"ports": each.get("ports")} for each in spec.get("initContainers") or []],
    },
    "status": lambda status: {name: status.get(name) for name in ("phase", "podIP", "podIPs")},
}


def _slim(pod: Object) -> Object:
    """Only what `members.pod_of` reads: clusters have many pods, and every node keeps them all."""
    metadata = {
        name: pod["metadata"].get(name) for name in ("namespace", "name", "uid", "resourceVersion", "labels")
    }
    annotations = {static.HASH: uid} if (uid := annotations_of(pod).get(static.HASH)) else {}
    metadata["annotations"] = annotations
    return {"metadata": metadata, **{part: keep(pod.get(part) or {}) for part, keep in _KEPT.items()}}


async def _serve_pages(address: str) -> None:
    host, _, port = address.rpartition(":")
    await serve(pages({"/healthz": _healthy, "/metrics": metrics_page}), host, int(port))


async def _healthy(scope: Scope) -> tuple[int, str, bytes]:
    return 200, "text/plain; charset=utf-8", b"ok"
