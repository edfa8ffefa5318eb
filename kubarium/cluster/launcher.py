"""`up` and `down`, and what lies between: nodes that come and go, images, health.

Whatever stopped half-way (a Ctrl-C, a SIGKILL, a reboot) is put right by the next `up` or `down`: each step
looks at what is there instead of remembering what was done.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from pathlib import Path

from kubarium.apimachinery.errors import StatusError
from kubarium.cluster import (
    cgroups,
    claim,
    host_network,
    images,
    keeper,
    machine,
    node_disk,
    pki,
    processes,
    programs,
    state,
)
from kubarium.cluster.machine import LaunchError
from kubarium.cluster.progress import Progress
from kubarium.cluster.shell import succeeds
from kubarium.cluster.state import Cluster, Node, Settings
from kubarium.cluster.waiting import READY_SECONDS, admin_client, gone, until

SHUTDOWN_SECONDS = 45.0  # the kubelet promises 30
DOWN_SECONDS = 45.0


def create(
    home: Path,
    name: str,
    nodes: int,
    simulated: int = 0,
    ip_family: str = "ipv4",
) -> Cluster:
    """Decide what a new cluster looks like; nothing is started."""
    # Those that are down at present shall be able to come back to their networks.
    resting = {other.network for each in state.names(home) if (other := state.load(home, each)) is not None}
    network = next((number for number in range(state.NETWORKS) if number not in resting), 0)
    members = tuple(Node(f"node-{index}", index) for index in range(1, nodes + 1))
    cluster = Cluster(
        home=home,
        name=name,
        uid=state.new_uid(),
        network=network,
        nodes=members,
        simulated=simulated,
        ip_family=ip_family,
    )
    state.save(cluster)
    return cluster


def with_settings(
    cluster: Cluster, proxy_mode: str | None, settings: Settings, simulated: int | None = None
) -> Cluster:
    """The cluster with other flags from its next start on."""
    cluster = replace(
        cluster.with_flags(settings),
        proxy_mode=proxy_mode or cluster.proxy_mode,
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
    with progress.step("network"):
        cluster, claimed = await claim.take(cluster)
    with progress.step("certificates"):
        await asyncio.to_thread(pki.make_all, cluster)
    if cluster.nodes:
        with progress.step("images and nodes"):
            prepared = await images.prepared_root(cluster.cache)
            for member in cluster.nodes:
                await node_disk.prepare(cluster, member, prepared)
    with progress.step("processes"):
        write_orders(cluster)
        claimed.hand_over()
        start_keeper(cluster)
        claimed.release()
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


async def stop_program(cluster: Cluster, name: str) -> None:
    """Let somebody else run this program; returns when ours has ended."""
    save_stopped(cluster, {*cluster.stopped, name})
    report = processes.report_of(cluster, name)
    if report is not None and report.pid is not None:
        await gone(report.pid, DOWN_SECONDS)


def save_stopped(cluster: Cluster, names: Iterable[str]) -> None:
    """Run all programs but these."""
    cluster = replace(cluster, stopped=tuple(sorted(names)))
    state.save(cluster)
    reconfigure(cluster)


def recovered(home: Path, name: str) -> Cluster | None:
    """A running cluster whose folder was removed, known again as far as `stop` needs it."""
    cluster = Cluster(home=home, name=name)
    uid = processes.mark_of_folder(cluster.dir)
    if uid is None:
        return None
    cluster = replace(cluster, uid=uid)
    for alias in Path("/sys/class/net").glob("kb*/ifalias"):
        if alias.read_text().strip() == uid:
            cluster = replace(cluster, network=int(alias.parent.name.removeprefix("kb")))
            spaces = sorted(Path("/run/netns").glob(f"{cluster.netns_prefix}*"))
            names = [path.name.removeprefix(cluster.netns_prefix) for path in spaces]
            nodes = tuple(Node(each, index) for index, each in enumerate(names, 1))
            cluster = replace(cluster, nodes=nodes)
    state.save(cluster)
    return cluster


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
    await _remove_cgroup(cluster.cgroup)
    (cluster.dir / "keeper.pid").unlink(missing_ok=True)
    shutil.rmtree(cluster.run, ignore_errors=True)


def wipe(cluster: Cluster) -> None:
    """Forget a cluster that was stopped."""
    shutil.rmtree(cluster.dir)


async def add_node(cluster: Cluster, name: str, settings: Settings) -> Cluster:
    """Plug in one more node; the settings are flags of its programs."""
    if cluster.node(name) is not None:
        raise LaunchError(f"node {name!r} is there already")
    machine.check_machine()
    if cluster.ip_forward is None:
        raise LaunchError(
            "the cluster was made without real nodes: make another one with kubarium up --nodes 1"
        )
    member = Node(name, cluster.free_index())
    cluster = cluster.with_node(member).with_flags(settings, place=f"{name}/")
    pki.make_node(cluster, member, pki.authority(cluster))
    await node_disk.prepare(cluster, member, await images.prepared_root(cluster.cache))
    state.save(cluster)
    tell_keeper(cluster)
    await _load_kept(cluster, member)
    return cluster


async def remove_node(cluster: Cluster, name: str) -> Cluster:
    """Switch a node off, take it out of the API, and throw its disk away."""
    member = known_node(cluster, name)
    await switch(cluster, name, on=False)
    kept = {key: flags for key, flags in cluster.extra.items() if not key.startswith(f"{name}/")}
    stopped = tuple(program for program in cluster.stopped if not program.startswith(f"{name}/"))
    cluster = replace(cluster.without_node(name), extra=kept, stopped=stopped)
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
    await _remove_cgroup(f"{cluster.cgroup}/{name}")
    return cluster


async def _remove_cgroup(group: str) -> None:
    """Remove a cgroup once the last process in it, which got SIGKILL, has ended."""
    for _ in range(int(DOWN_SECONDS / 0.05)):
        if cgroups.remove(group):
            return
        await asyncio.sleep(0.05)


async def shut_down(cluster: Cluster, name: str) -> Cluster:
    """Let the kubelet end its pods in order, as before the end of any machine, then power the node off."""
    member = known_node(cluster, name)
    report = next((one for one in processes.reports(cluster) if one.name == f"{name}/kubelet"), None)
    inner = processes.node_pid(cluster, member)
    if report is None or not report.pid or inner is None:
        return await switch(cluster, name, on=False)
    told = Path(f"/proc/{inner}/root{programs.kubelet_root(cluster, member)}/graceful_node_shutdown_state")
    told.unlink(missing_ok=True)
    processes.kill(report.pid, signal.SIGPWR)
    for _ in range(int(SHUTDOWN_SECONDS / 0.2)):
        if told.exists() and json.loads(told.read_text() or "{}").get("endTime"):
            break
        await asyncio.sleep(0.2)
    return await switch(cluster, name, on=False)


async def load(cluster: Cluster, archive: Path) -> dict[str, list[str]]:
    """Import an image archive on every node that is on; nodes made later get it, too."""
    images.names(archive)
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

    await until(answers, READY_SECONDS, lambda: f"containerd of {member.name} does not answer", cluster)
    pid = processes.node_pid(cluster, member)
    for archive in archives:
        await images.load(f"/proc/{pid}/root{programs.CRI_SOCKET}", archive)


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
