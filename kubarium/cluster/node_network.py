"""The pod network: a CNI configuration for each node here, and a route to the pods of every other node.

    python -m kubarium.cluster.node_network --kubeconfig=… --cluster=cluster.json     all nodes of this machine
    python -m kubarium.cluster.node_network --kubeconfig=… --node-name=node-1         the machine it runs on

A node's pod network is ready when the controller manager has given the Node its `spec.podCIDR`; until then the
runtime says NetworkReady=false and the kubelet says NotReady. Pods are reached by plain routes through node
addresses: no tunnel. Upstream leaves this part to a network add-on; this one does what flannel calls `host-gw`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.informer import Informer, Informers
from kubarium.client.rest import Client
from kubarium.cluster import processes, state
from kubarium.cluster.programs import SIMULATED
from kubarium.cluster.shell import CommandError, run
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock, RealClock, sleep_unless
from kubarium.component_base.options import flag, parse
from kubarium.component_base.process import Process
from kubarium.component_base.process import run as run_process

log = logging.get(__name__)

PROTOCOL = "188"  # marks our routes (see /etc/iproute2/rt_protos), so that stale ones can be told from others
RESYNC_SECONDS = 30.0
CNI_FILE = "10-kubarium.conflist"


@dataclass(frozen=True)
class Options:
    """Flags of the program."""

    kubeconfig: str = flag("", "Path to the kubeconfig with which to watch nodes.")
    cluster: str = flag("", "A cluster.json: serve the host and all nodes of that cluster on this machine.")
    node_name: str = flag("", "Serve only this node, on whose machine the program runs.")
    cni_conf_dir: str = flag("/etc/cni/net.d", "Where the node's CNI configuration goes.")
    verbosity: int = flag(0, "Number for the log level verbosity.")


@dataclass(frozen=True)
class Placement:
    """What a Node object says about where its pods are, in one family of addresses."""

    name: str
    address: str
    pod_cidr: str

    @property
    def family(self) -> str:
        """Which routes lead there, as `ip` says it."""
        return "-6" if ":" in self.address else "-4"


@dataclass(frozen=True)
class Machine:
    """One place that needs routes: the host, or a node."""

    name: str  # "" for a host that is no node
    netns: str = ""  # "" for the namespace this program runs in
    cni_conf_dir: Path | None = None
    device: str = ""  # the host's routes of other clusters go through other bridges


def placements_of(node: Object) -> list[Placement]:
    """A node's addresses and pod networks, by family, once it has both; the pods of a simulated node are nowhere."""
    if SIMULATED in (node["metadata"].get("labels") or {}):
        return []
    listed = (node.get("status") or {}).get("addresses") or []
    addresses = [each["address"] for each in listed if each["type"] == "InternalIP"]
    spec = node.get("spec") or {}
    found = []
    for pod_cidr in spec.get("podCIDRs") or filter(None, [spec.get("podCIDR")]):
        address = next((each for each in addresses if (":" in each) == (":" in pod_cidr)), "")
        found += [Placement(node["metadata"]["name"], address, pod_cidr)] if address else []
    return found


def wanted_routes(machine: Machine, placements: Iterable[Placement], family: str = "-4") -> dict[str, str]:
    """Pod network -> gateway, for all nodes but the machine itself."""
    return {
        each.pod_cidr: each.address
        for each in placements
        if each.name != machine.name and each.family == family
    }


def route_commands(wanted: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """What `ip -batch` must do to get from the present routes to the wanted ones."""
    stale = [f"route delete {cidr} proto {PROTOCOL}" for cidr in present if cidr not in wanted]
    changed = [
        f"route replace {cidr} via {gateway} proto {PROTOCOL}"
        for cidr, gateway in wanted.items()
        if present.get(cidr) != gateway
    ]
    return stale + changed


def cni_configuration(pod_cidrs: Iterable[str], mtu: int) -> str:
    """The plugins that give a pod its cable, its addresses and its host ports."""
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isDefaultGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": "/var/lib/cni/networks",
            "ranges": [[{"subnet": pod_cidr}] for pod_cidr in pod_cidrs],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps({"cniVersion": "0.4.0", "name": "kubarium", "plugins": [bridge, portmap]}, indent=1)


class NodeNetwork:
    """Brings every machine here in line with the Node objects; nothing is remembered in between."""

    def __init__(self, options: Options, nodes: Informer, clock: Clock) -> None:
        self._options = options
        self._nodes = nodes
        self._clock = clock
        self._changed = asyncio.Event()
        self._seen: dict[str, tuple[object, ...]] = {}
        nodes.follow(self._look, lambda node: self._changed.set())

    async def run(self) -> None:
        """Follow the nodes."""
        await self._nodes.synced()
        while True:
            self._changed.clear()
            try:
                await self._sync()
            except (CommandError, OSError) as error:  # a node that is being switched off
                log.warning("sync failed, trying again: %s", error)
                await self._clock.sleep(1.0)
                continue
            await sleep_unless(self._clock, RESYNC_SECONDS, self._changed)

    def _look(self, node: Object) -> None:
        """Heartbeats change a Node often; only a change of place matters here, and a node that comes back."""
        name, placements = node["metadata"]["name"], placements_of(node)
        marks = (placements, (node.get("status") or {}).get("nodeInfo", {}).get("bootID"), is_ready(node))
        if self._seen.get(name) != marks:
            self._seen[name] = marks
            self._changed.set()

    async def _sync(self) -> None:
        placements = [place for node in self._nodes.lister.list() for place in placements_of(node)]
        families = sorted({"-4", *(place.family for place in placements)})
        for machine in machines(self._options):
            for family in families:
                await self._sync_routes(machine, placements, family)
            own = [place for place in placements if place.name == machine.name]
            if own and machine.cni_conf_dir is not None:
                write_cni(machine.cni_conf_dir, own)

    async def _sync_routes(self, machine: Machine, placements: Sequence[Placement], family: str) -> None:
        where = ["-netns", machine.netns] if machine.netns else []
        through = ["dev", machine.device] if machine.device else []
        listed = await run("ip", "-json", family, *where, "route", "show", "proto", PROTOCOL, *through)
        present = {route["dst"]: route.get("gateway", "") for route in json.loads(listed or "[]")}
        commands = route_commands(wanted_routes(machine, placements, family), present)
        if commands:
            await run("ip", family, *where, "-force", "-batch", "-", stdin="\n".join(commands) + "\n")
            log.info("routes of %s: %s", machine.name or "the host", "; ".join(commands))


def is_ready(node: Object) -> bool:
    """Does the kubelet say that the node is ready?"""
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def machines(options: Options) -> list[Machine]:
    """Everything here that needs routes. Read again each time: nodes are added, switched off and on."""
    if not options.cluster:
        conf_dir = Path(options.cni_conf_dir) if options.cni_conf_dir else None
        return [Machine(options.node_name, cni_conf_dir=conf_dir)]
    folder = Path(options.cluster).parent
    cluster = state.load(folder.parent.parent, folder.name)
    if cluster is None:
        return []
    found = [Machine("", device=cluster.bridge)]
    for node in cluster.nodes:
        pid = processes.node_pid(cluster, node)
        if pid is not None and Path("/run/netns", cluster.netns(node)).exists():
            found.append(Machine(node.name, cluster.netns(node), Path(f"/proc/{pid}/root/etc/cni/net.d")))
    return found


def write_cni(folder: Path, placements: Sequence[Placement]) -> None:
    """Write the node's CNI configuration, if it is not there yet."""
    path = folder / CNI_FILE
    pod_cidrs = [placement.pod_cidr for placement in placements]
    content = cni_configuration(pod_cidrs, uplink_mtu())
    if path.exists() and path.read_text() == content:
        return
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{CNI_FILE}.draft"
    draft.write_text(content)
    os.replace(draft, path)
    log.info("pod network of %s is %s", placements[0].name, ", ".join(pod_cidrs))


def uplink_mtu() -> int:
    """The largest packet that every way out of this machine takes."""
    sizes = [int((link / "mtu").read_text()) for link in Path("/sys/class/net").glob("eth*")]
    return min([1500, *sizes])


async def main(process: Process, options: Options) -> None:
    """Build the parts and run until asked to stop."""
    client = Client(kubeconfig.load(options.kubeconfig), user_agent="node-network")
    clock = RealClock()
    informers = Informers(client, clock)
    network = NodeNetwork(options, informers.informer("v1", "nodes"), clock)
    process.start("informers", informers.run())
    process.start("network", network.run())
    await process.stopped()
    await client.close()


if __name__ == "__main__":
    chosen = parse(Options, sys.argv[1:], "node-network")
    logging.setup("node-network", chosen.verbosity)
    sys.exit(run_process(lambda process: main(process, chosen)))
