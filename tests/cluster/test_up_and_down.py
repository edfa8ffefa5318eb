"""A second cluster beside the first: up, up again, a program less, down, up as it was, and nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubarium.cluster import cgroups, processes, state
from tests.cluster.conftest import Shell, until
from tests.families import has_ipv6

pytestmark = pytest.mark.cluster

CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 53), 20); print('reached')"


@pytest.fixture
def second(machine: None, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path, "second")
    yield shell
    shell.kubarium("down", "--wipe", check=False)


def traces(cluster: state.Cluster) -> str:
    """Everything in the kernel that carries the cluster's mark."""
    found = [f"process {pid}" for pid in processes.marked(cluster)]
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    found += [line for line in links.splitlines() if re.search(rf"\b{cluster.bridge}(n\d+)?\b", line)]
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    found += [line for line in spaces.splitlines() if line.startswith(f"{cluster.bridge}-")]
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
    found += [line for line in tables.splitlines() if line.endswith(f" {cluster.bridge}")]
    shown = [["ip", "route"], *([["ip", "-6", "route"]] if has_ipv6() else [])]
    routes = "".join(
        subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in shown
    )
    rules = subprocess.run(["iptables", "-w", "-S"], capture_output=True, text=True, check=True).stdout
    found += [line for line in rules.splitlines() if cluster.bridge in line.split()]
    found += [line for line in routes.splitlines() if cluster.bridge in line.split()]
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if str(cluster.dir) in line]
    groups = [root / cluster.cgroup.strip("/") for root in cgroups.hierarchies()]
    found += [str(group) for group in groups if group.exists()]
    return "\n".join(found)


def pid_of(cluster: state.Cluster, name: str) -> int | None:
    """A program's pid, once its keeper has started it."""
    report = processes.report_of(cluster, name)
    return report.pid if report else None


def names_are_told_at_two_addresses(shell: Shell) -> None:
    """A Service of a cluster with two families gets its second address, and the node reaches its pods by both."""
    patch = '{"spec": {"ipFamilyPolicy": "RequireDualStack"}}'
    shell.kubectl("patch", "service", "kube-dns", "-n", "kube-system", "-p", patch)
    addresses = shell.get("service", "kube-dns", "-n", "kube-system")["spec"]["clusterIPs"]
    assert [":" in address for address in addresses] == [False, True]
    for address in addresses:
        ask = (sys.executable, "-c", CONNECT, address)
        until(
            lambda ask=ask: "reached" in shell.on_node("node-1", *ask, check=False), what=f"DNS at {address}"
        )


def test_up_down_and_up_again(second: Shell) -> None:
    said = second.kubarium("up", "--nodes", "1", *(["--ip-family", "dual"] if has_ipv6() else []))
    assert "is up after" in said
    assert "is up" in second.kubarium("up")
    if has_ipv6():
        names_are_told_at_two_addresses(second)
    second.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    key, value = second.kubarium("etcdctl", "get", "/registry/configmaps/default/kept").split("\n", 1)
    assert key.endswith("/kept") and json.loads(value)["data"] == {"a": "1"}
    cluster = state.load(second.home, second.name)
    assert cluster is not None
    assert traces(cluster)
    by_hand = second.kubarium("stop", "kube-scheduler").splitlines()[-1]
    assert " -m scheduler " in by_hand and pid_of(cluster, "kube-scheduler") is None
    second.kubarium("start", "kube-scheduler")
    until(lambda: pid_of(cluster, "kube-scheduler"))
    second.kubarium("down")
    assert traces(cluster) == ""
    second.kubarium("up")
    assert second.get("configmap", "kept")["data"] == {"a": "1"}
    second.kubarium("down", "--wipe")
    assert traces(cluster) == ""
    assert not cluster.dir.exists()


def test_what_was_killed_half_way_is_put_right(second: Shell) -> None:
    second.kubarium("up", "--nodes", "1", "--no-wait")
    cluster = state.load(second.home, second.name)
    assert cluster is not None
    keeper = until(lambda: processes.keeper_pid(cluster))
    # What shall outlive the keeper must have been started by it first: its pid is written before that.
    etcd = until(lambda: pid_of(cluster, "etcd"))
    os.kill(keeper, signal.SIGKILL)
    until(lambda: processes.keeper_pid(cluster) is None)
    assert etcd in processes.marked(cluster)
    assert "is up after" in second.kubarium("up")
    keeper = processes.keeper_pid(cluster)
    assert keeper is not None
    os.kill(keeper, signal.SIGKILL)
    second.kubarium("down")
    assert traces(cluster) == ""
