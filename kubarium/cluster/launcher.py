"""`up` and `down`, and what lies between: nodes that come and go, images, health.

Whatever stopped half-way (a Ctrl-C, a SIGKILL, a reboot) is put right by the next `up` or `down`: each step
looks at what is there instead of remembering what was done.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from kubarium.apimachinery.errors import Invalid, StatusError
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.cluster import (
    addons,
    cgroups,
    host_network,
    images,
    keeper,
    node,
    node_network,
    pki,
    processes,
    programs,
    state,
)
from kubarium.cluster.shell import succeeds
from kubarium.cluster.state import Cluster, Node

MACHINE = Path("/run")  # locked while a network is chosen; a folder that every machine has
READY_SECONDS = 120.0
DOWN_SECONDS = 45.0
TOOLS = {  # program -> Debian package
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}


class LaunchError(Exception):
    """Something that the user must know or decide; the text says what."""


class Progress:
    """Who is told how far things are; this one tells nobody."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Something begins; it ends with the block."""
        yield


def check_machine(with_nodes: bool = True) -> None:
    """Can this machine hold a cluster? One without nodes of its own needs etcd only, and no root."""
    if not with_nodes:
        if shutil.which("etcd", path=_search_path()) is None:
            raise LaunchError("missing packages: apt-get install etcd-server")
        return
    if os.geteuid() != 0:
        raise LaunchError(
            "kubarium needs root for its nodes: it makes namespaces, cgroups and network links; "
            "without root there are simulated nodes: kubarium up --nodes 0 --simulated-nodes 10"
        )
    missing = {package for tool, package in TOOLS.items() if shutil.which(tool, path=_search_path()) is None}
    if not Path("/usr/lib/cni/bridge").exists():
        missing.add("containernetworking-plugins")
    if not any(Path(path).exists() for path in ("/bin/busybox", "/usr/bin/busybox")):
        missing.add("busybox-static")
    if missing:
        raise LaunchError(f"missing packages: apt-get install {' '.join(sorted(missing))}")


async def create(
    home: Path,
    name: str,
    nodes: int,
    proxy_mode: str = "iptables",
    extra: dict[str, dict[str, str]] | None = None,
    simulated: int = 0,
) -> Cluster:
    """Decide what a new cluster looks like; nothing is started."""
    taken = await host_network.networks_in_use() | {
        other.network
        for other_name in state.names(home)
        if (other := state.load(home, other_name)) is not None
    }
    network = next((number for number in range(state.NETWORKS) if number not in taken), None)
    if network is None:
        raise LaunchError(f"there are {state.NETWORKS} clusters on this machine already")
    members = tuple(Node(f"node-{index}", index) for index in range(1, nodes + 1))
    cluster = Cluster(
        home=home,
        name=name,
        uid=state.new_uid(),
        network=network,
        nodes=members,
        simulated=simulated,
        proxy_mode=proxy_mode,
        extra=extra or {},
    )
    state.save(cluster)
    return cluster


def with_settings(
    cluster: Cluster, proxy_mode: str | None, extra: dict[str, dict[str, str]], simulated: int | None = None
) -> Cluster:
    """The cluster with other flags from its next start on."""
    merged = {name: dict(flags) for name, flags in cluster.extra.items()}
    for program, flags in extra.items():
        merged[program] = merged.get(program, {}) | flags
    cluster = replace(
        cluster,
        proxy_mode=proxy_mode or cluster.proxy_mode,
        extra=merged,
        simulated=cluster.simulated if simulated is None else simulated,
    )
    state.save(cluster)
    return cluster


async def start(cluster: Cluster, progress: Progress) -> Cluster:
    """Start everything that does not run; returns when every process has been told to start."""
    if processes.keeper_pid(cluster) is not None:
        reconfigure(cluster)
        return cluster
    with progress.step("clearing leftovers"):
        await clear(cluster)
    with progress.step("network"), state.locked_folder(MACHINE):
        cluster = await claim_network(cluster)
    with progress.step("certificates"):
        await asyncio.to_thread(pki.make_all, cluster)
    if cluster.nodes:
        with progress.step("images and nodes"):
            prepared = await images.prepared_root(cluster.cache)
            for member in cluster.nodes:
                await prepare_node(cluster, member, prepared)
    with progress.step("processes"):
        write_orders(cluster)
        start_keeper(cluster)
    return cluster


async def claim_network(cluster: Cluster) -> Cluster:
    """Take the cluster's network and ports for it; the caller keeps other launchers of this machine out."""
    if not cluster.nodes:  # nothing to connect
        cluster = replace(cluster, ports=free_ports(cluster.ports, cluster.network))
        state.save(cluster)
        return cluster
    taken = await host_network.networks_in_use()
    if cluster.network in taken:
        if (cluster.dir / "etcd").exists():
            raise LaunchError(
                f"the network {cluster.subnet} of cluster {cluster.name!r} is in use by another cluster; "
                "take that one down first, or forget this one: kubarium down --wipe"
            )
        cluster = replace(cluster, network=next(n for n in range(state.NETWORKS) if n not in taken), ports={})
    cluster = replace(cluster, ports=free_ports(cluster.ports, cluster.network))
    before = await host_network.connect_host(cluster)
    cluster = replace(cluster, ip_forward=cluster.ip_forward or before)
    state.save(cluster)
    return cluster


def reconfigure(cluster: Cluster) -> None:
    """Let those programs of a running cluster start again whose flags have changed."""
    tell_keeper(cluster)
    for member in cluster.nodes:
        disk = cluster.node_dir(member)
        keeper.write_programs(disk / "programs.json", programs.node_programs(cluster, member), disk / "run")
        pid = processes.node_pid(cluster, member)
        if pid is not None:
            processes.kill(pid, signal.SIGHUP)


async def wait_ready(cluster: Cluster, progress: Progress, seconds: float = READY_SECONDS) -> None:
    """Return when the API server answers, the add-ons are there, and all nodes that are on are Ready."""
    async with admin_client(cluster) as client:
        with progress.step("API server"):
            await until(
                lambda: api_is_ready(client), seconds, lambda: "the API server does not answer", cluster
            )
        with progress.step("add-ons"):
            await until(
                lambda: addons.apply(client, cluster), seconds, lambda: "add-ons were refused", cluster
            )
        wanted = {member.name for member in cluster.nodes if member.on}
        real = {member.name for member in cluster.nodes}
        missing: set[str] = wanted
        simulated = 0

        async def nodes_ready() -> bool:
            nonlocal missing, simulated
            ready = await ready_nodes(client)
            missing, simulated = wanted - ready, len(ready - real)
            return not missing and simulated >= cluster.simulated

        def what_is_missing() -> str:
            names = sorted(missing)
            if simulated < cluster.simulated:
                names.append(f"{cluster.simulated - simulated} of {cluster.simulated} simulated nodes")
            return f"not ready: {', '.join(names)}"

        with progress.step("nodes"):
            await until(nodes_ready, seconds, what_is_missing, cluster)


async def stop(cluster: Cluster, progress: Progress) -> None:
    """Stop everything and leave nothing in the kernel; the files stay."""
    pid = processes.keeper_pid(cluster)
    if pid is not None:
        with progress.step("processes"):
            processes.kill(pid, signal.SIGTERM)
            await gone(pid, DOWN_SECONDS)
    with progress.step("namespaces, links, cgroups"):
        await clear(cluster)


async def clear(cluster: Cluster) -> None:
    """Remove every process and kernel object of a cluster that is not kept any more."""
    await asyncio.to_thread(processes.kill_marked, cluster)
    for member in cluster.nodes:
        await host_network.disconnect_node(cluster, member)
    if any(await asyncio.gather(*(_netns_leftover(cluster, member) for member in cluster.nodes))):
        raise LaunchError("a network namespace could not be removed")
    if cluster.nodes or cluster.ip_forward is not None:  # else it never was connected
        await host_network.disconnect_host(cluster)
    for _ in range(50):
        if cgroups.remove(cluster.cgroup):
            break
        await asyncio.sleep(0.05)
    (cluster.dir / "keeper.pid").unlink(missing_ok=True)
    shutil.rmtree(cluster.run, ignore_errors=True)


def wipe(cluster: Cluster) -> None:
    """Forget a cluster that was stopped."""
    shutil.rmtree(cluster.dir)


async def add_node(cluster: Cluster, name: str) -> Cluster:
    """Plug in one more node."""
    if cluster.node(name) is not None:
        raise LaunchError(f"node {name!r} is there already")
    check_machine()
    if cluster.ip_forward is None:
        raise LaunchError(
            "the cluster was made without real nodes: make another one with kubarium up --nodes 1"
        )
    member = Node(name, cluster.free_index())
    cluster = cluster.with_node(member)
    pki.make_node(cluster, member, pki.authority(cluster))
    await prepare_node(cluster, member, await images.prepared_root(cluster.cache))
    state.save(cluster)
    tell_keeper(cluster)
    await _load_kept(cluster, member)
    return cluster


async def remove_node(cluster: Cluster, name: str) -> Cluster:
    """Switch a node off, take it out of the API, and throw its disk away."""
    member = known_node(cluster, name)
    await switch(cluster, name, on=False)
    cluster = cluster.without_node(name)
    state.save(cluster)
    tell_keeper(cluster)
    async with admin_client(cluster) as client:
        await _ignore_missing(client.resource("v1", "nodes").delete(name))
    await host_network.disconnect_node(cluster, member)
    shutil.rmtree(cluster.node_dir(member), ignore_errors=True)
    return cluster


async def switch(cluster: Cluster, name: str, on: bool) -> Cluster:
    """Power a node off (one SIGKILL) or on."""
    member = known_node(cluster, name)
    pid = processes.node_outer_pid(cluster, member)
    cluster = cluster.with_node(replace(member, on=on))
    state.save(cluster)
    if on:
        if pid is None:
            await host_network.connect_node(cluster, member)
        tell_keeper(cluster)
        return cluster
    tell_keeper(cluster)
    if pid is not None:
        await gone(pid, DOWN_SECONDS)
    for _ in range(50):
        if cgroups.remove(f"{cluster.cgroup}/{name}"):
            break
        await asyncio.sleep(0.05)
    return cluster


async def load(cluster: Cluster, archive: Path) -> dict[str, list[str]]:
    """Import an image archive on every node that is on; nodes made later get it, too."""
    kept = cluster.dir / "images" / archive.name
    if archive.resolve() != kept.resolve():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(archive, kept)
    found: dict[str, list[str]] = {}
    for member in cluster.nodes:
        pid = processes.node_pid(cluster, member)
        if pid is not None:
            found[member.name] = await images.load(f"/proc/{pid}/root{programs.CRI_SOCKET}", kept)
    return found


async def _load_kept(cluster: Cluster, member: Node) -> None:
    """Give a new node the images that were loaded before it came."""
    archives = sorted((cluster.dir / "images").glob("*"))
    if not archives:
        return

    async def answers() -> bool:
        pid = processes.node_pid(cluster, member)
        return pid is not None and await succeeds(
            "ctr", "-a", f"/proc/{pid}/root{programs.CRI_SOCKET}", "version"
        )

    await until(answers, 30, lambda: f"containerd of {member.name} does not answer", cluster)
    pid = processes.node_pid(cluster, member)
    for archive in archives:
        await images.load(f"/proc/{pid}/root{programs.CRI_SOCKET}", archive)


async def prepare_node(cluster: Cluster, member: Node, prepared: Path) -> None:
    """Put a node's disk and cable in place."""
    disk = cluster.node_dir(member)
    etc = disk / "etc"
    (etc / "containerd").mkdir(parents=True, exist_ok=True)
    (etc / "cni/net.d").mkdir(parents=True, exist_ok=True)
    (etc / "kubernetes/manifests").mkdir(parents=True, exist_ok=True)
    config = images.containerd_config("/var/lib/containerd", "/run/containerd", programs.CRI_SOCKET)
    (etc / "containerd/config.toml").write_text(config)
    (etc / "hostname").write_text(f"{member.name}\n")
    (etc / "hosts").write_text(hosts_file(cluster, member))
    write_resolv_conf(etc / "resolv.conf")
    if not (etc / "machine-id").exists():
        (etc / "machine-id").write_text(f"{state.new_uid()}\n")
    await images.copy_root(prepared, disk / "var/lib/containerd")
    plan = node.Plan(
        name=member.name,
        programs=str(disk / "programs.json"),
        cgroup=f"{cluster.cgroup}/{member.name}",
        disk=str(disk),
        shared=(str(cluster.home), str(programs.source_folder()), sys.prefix, sys.base_prefix),
    )
    node.write(plan, disk / "plan.json")
    keeper.write_programs(disk / "programs.json", programs.node_programs(cluster, member), disk / "run")
    await host_network.connect_node(cluster, member)


def hosts_file(cluster: Cluster, member: Node) -> str:
    """A node knows itself and the API server by name."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [
        f"{cluster.node_address(member)} {member.name}",
        f"{cluster.address} {cluster.name}-control-plane",
    ]
    return "\n".join(lines) + "\n"


def write_resolv_conf(path: Path) -> None:
    """The host's name servers, without those that only the host itself can reach."""
    sources = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
    text = next((Path(source).read_text() for source in sources if Path(source).exists()), "")
    lines = [line for line in text.splitlines() if not line.startswith(("nameserver 127.", "nameserver ::1"))]
    path.unlink(missing_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_orders(cluster: Cluster) -> None:
    """Tell the host keeper what is to run."""
    keeper.write_programs(cluster.dir / "programs.json", programs.host_programs(cluster), cluster.run)


def tell_keeper(cluster: Cluster) -> None:
    """Let the running keeper read its orders again."""
    write_orders(cluster)
    pid = processes.keeper_pid(cluster)
    if pid is None:
        raise LaunchError(f"cluster {cluster.name!r} is down; start it with: kubarium up")
    processes.kill(pid, signal.SIGHUP)


def start_keeper(cluster: Cluster) -> None:
    """Start the host keeper; it stays when this program ends."""
    argv = (sys.executable, "-m", "kubarium.cluster.keeper", str(cluster.dir / "programs.json"))
    environment = {
        programs.CLUSTER_MARK: cluster.uid,
        "PYTHONPATH": str(programs.source_folder()),
        "PYTHONUNBUFFERED": "1",
    }
    pid = keeper.spawn(keeper.Program("keeper", argv, str(cluster.logs / "keeper.log"), environment))
    (cluster.dir / "keeper.pid").write_text(str(pid))


def free_ports(preferred: dict[str, int], network: int) -> dict[str, int]:
    """The ports of last time, or upstream's for the first network, others for each further one; free ones."""
    chosen: dict[str, int] = {}
    for name, default in programs.PORTS.items():
        port = preferred.get(name, default + network * (1 if name == "apiserver" else 10))
        while port in chosen.values() or not _is_free(port):
            port += 1
        chosen[name] = port
    return chosen


@asynccontextmanager
async def admin_client(cluster: Cluster, server: str = "") -> AsyncIterator[Client]:
    """A client with all rights; it talks to the server on this machine if no other is named."""
    config = kubeconfig.load(str(cluster.admin_conf))
    client = Client(replace(config, server=server or config.server), user_agent="kubarium")
    try:
        yield client
    finally:
        await client.close()


async def api_is_ready(client: Client) -> bool:
    """Does `/readyz` say ok?"""
    return bool(await client.request("GET", "/readyz", timeout=5) == "ok")


async def ready_nodes(client: Client) -> set[str]:
    """Names of the nodes whose kubelet says that they are ready."""
    listed = await client.resource("v1", "nodes").list()
    return {item["metadata"]["name"] for item in listed["items"] if node_network.is_ready(item)}


async def until(
    done: Callable[[], Awaitable[bool]], seconds: float, what: Callable[[], str], cluster: Cluster
) -> None:
    """Ask again and again; an API server that is not there yet is no reason to stop asking."""
    deadline = time.monotonic() + seconds
    last = ""
    while time.monotonic() < deadline:
        try:
            if await done():
                return
        except Invalid as error:
            raise LaunchError(f"{what()}: {error}") from error
        except (StatusError, OSError, TimeoutError) as error:
            last = f" ({error})"
        await asyncio.sleep(0.1)
    raise LaunchError(
        f"{what()} after {seconds:.0f} s{last}; see the logs in {cluster.logs} and: kubarium status"
    )


async def gone(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that is not our child."""
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def _netns_leftover(cluster: Cluster, member: Node) -> bool:
    return not host_network.is_others(cluster) and Path("/run/netns", cluster.netns(member)).exists()


async def _ignore_missing(work: Awaitable[object]) -> None:
    try:
        await work
    except StatusError as error:
        if error.code != 404:
            raise


def known_node(cluster: Cluster, name: str) -> Node:
    """The node of that name; an error when there is none."""
    member = cluster.node(name)
    if member is None:
        known = ", ".join(each.name for each in cluster.nodes) or "none"
        raise LaunchError(f"there is no node {name!r}; nodes: {known}")
    return member


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True


def _search_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"
