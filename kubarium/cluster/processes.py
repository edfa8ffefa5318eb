"""What runs: pids from the keepers' reports and from /proc, seen from the host.

A node's keeper knows its programs by the pids of its own namespace; /proc tells what they are out here.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kubarium.cluster.programs import CLUSTER_MARK, HOST_PROGRAMS, NODE_PROGRAMS
from kubarium.cluster.state import Cluster, Node

PROC = Path("/proc")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Report:
    """One program as its keeper last saw it; the pid is the host's."""

    name: str  # "etcd", "node-1", "node-1/kubelet"
    pid: int | None
    restarts: int
    exit: str
    log: Path


def keeper_pid(cluster: Cluster) -> int | None:
    """The host keeper, if it runs."""
    try:
        pid = int((cluster.dir / "keeper.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if is_marked(cluster, pid) else None


def keeper_has_ended(cluster: Cluster) -> bool:
    """Was there a keeper, and is it gone? One that starts this very moment does not show its mark yet."""
    try:
        return has_ended(int((cluster.dir / "keeper.pid").read_text()))
    except (OSError, ValueError):
        return False


def node_pid(cluster: Cluster, node: Node) -> int | None:
    """Pid 1 of a node, as the host counts."""
    outer = node_outer_pid(cluster, node)
    return next(iter(_children(outer)), None) if outer else None


def node_outer_pid(cluster: Cluster, node: Node) -> int | None:
    """The process outside of a node's namespaces; all of the node dies with it."""
    return _host_report(cluster, node.name).pid


def reports(cluster: Cluster) -> list[Report]:
    """Everything that the cluster consists of, in the order of the tables."""
    wanted = {
        "node-network": bool(cluster.nodes),
        "network-policy": bool(cluster.nodes),
        "simulated-nodes": bool(cluster.simulated),
    }
    found = [_host_report(cluster, name) for name in HOST_PROGRAMS if wanted.get(name, True)]
    for node in cluster.nodes:
        found.append(_host_report(cluster, node.name))
        found += _node_reports(cluster, node)
    return found


def report_of(cluster: Cluster, name: str) -> Report | None:
    """One program by its name; `apiserver` will do for `kube-apiserver`."""
    wanted = {name, f"kube-{name}"}
    return next((report for report in reports(cluster) if report.name in wanted), None)


def marked(cluster: Cluster) -> list[int]:
    """Every process of the cluster, also those that nobody keeps any more: the mark in its environment tells."""
    return [pid for pid in _all_pids() if pid != os.getpid() and is_marked(cluster, pid)]


def mark_of_folder(folder: Path) -> str | None:
    """The mark of a cluster whose files somebody removed while it ran: its programs were told where they lie."""
    for pid in _all_pids():
        try:
            words = (PROC / str(pid) / "cmdline").read_bytes()
            if f"{folder}/".encode() not in words:
                continue
            for word in (PROC / str(pid) / "environ").read_bytes().decode(errors="replace").split("\0"):
                if word.startswith(f"{CLUSTER_MARK}="):
                    return word.partition("=")[2]
        except OSError:
            continue
    return None


def is_marked(cluster: Cluster, pid: int) -> bool:
    """Does this process belong to the cluster? A number alone may be someone else's by now."""
    try:
        environment = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return f"{CLUSTER_MARK}={cluster.uid}".encode() in environment


def kill_marked(cluster: Cluster, seconds: float = 45.0) -> int:
    """SIGKILL every process of the cluster and wait for its end; returns how many there were.

    A process loses its mark some time before it gives back its ports, and pid 1 of a node, which dies after all that
    ran in its containers, long before.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while True:
        found = marked(cluster)
        for pid in found:
            kill(pid, signal.SIGKILL)
        killed.update(found)
        if not found and all(has_ended(pid) for pid in killed):
            return len(killed)
        if time.monotonic() > deadline:
            return len(killed)
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Is nothing left of a process but, at most, its exit code?"""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in ("Z", "X")
    except OSError:
        return True


def kill(pid: int, number: int) -> bool:
    """Signal a process; false when it is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def argv(pid: int) -> tuple[str, ...]:
    """The command line of a process; nothing when it is gone."""
    try:
        return tuple((PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1])
    except OSError:
        return ()


def memory(pid: int) -> int:
    """Bytes that this process costs: shared pages count by their share."""
    try:
        for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def age(pid: int) -> float:
    """Seconds since the process was started."""
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        up = float((PROC / "uptime").read_text().split()[0])
    except OSError:
        return 0.0
    return max(0.0, up - int(fields[19]) / CLOCK_TICKS)


def _host_report(cluster: Cluster, name: str) -> Report:
    pid, restarts, end = _report(cluster.run / f"{name}.json")
    alive = pid if pid and is_marked(cluster, pid) else None
    return Report(name, alive, restarts, end, cluster.logs / f"{name}.log")


def _node_reports(cluster: Cluster, node: Node) -> Iterator[Report]:
    disk = cluster.node_dir(node)
    inner = node_pid(cluster, node)
    pids = {_inner_pid(child): child for child in _children(inner)} if inner else {}
    for name in NODE_PROGRAMS:
        pid, restarts, end = _report(disk / "run" / f"{name}.json")
        yield Report(f"{node.name}/{name}", pids.get(pid), restarts, end, disk / "logs" / f"{name}.log")


def _report(path: Path) -> tuple[int, int, str]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return 0, 0, ""
    return known["pid"], known["restarts"], known["exit"]


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    except OSError:
        return []


def _inner_pid(pid: int) -> int:
    """The pid that the process has in its innermost namespace."""
    try:
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except OSError:
        return -1
    return -1


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir(PROC) if entry.isdigit()]
