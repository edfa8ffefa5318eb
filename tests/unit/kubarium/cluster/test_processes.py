"""Processes of a cluster are known by their mark, and end for certain."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubarium.cluster import launcher, processes, programs
from kubarium.cluster.programs import CLUSTER_MARK
from kubarium.cluster.progress import Progress
from kubarium.cluster.state import Cluster, Node, new_uid


def test_whoever_has_the_mark_ends(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, uid=new_uid())
    marked = subprocess.Popen(["sleep", "600"], env={**os.environ, CLUSTER_MARK: cluster.uid})
    other = subprocess.Popen(["sleep", "600"])
    try:
        assert processes.marked(cluster) == [marked.pid]
        assert not processes.has_ended(marked.pid)
        assert processes.kill_marked(cluster) == 1
        assert processes.has_ended(marked.pid)  # nobody has asked for its exit code yet
        assert not processes.has_ended(other.pid)
        assert processes.kill_marked(cluster) == 0
    finally:
        for process in (marked, other):
            process.kill()
            process.wait()
    assert processes.has_ended(marked.pid)


@pytest.mark.parametrize("nodes", [(), (Node("node-1", 1),)])
@pytest.mark.parametrize("simulated", [0, 5])
def test_all_that_is_kept_alive_is_reported_and_nothing_else(
    tmp_path: Path, nodes: tuple[Node, ...], simulated: int
) -> None:
    cluster = Cluster(tmp_path, uid=new_uid(), ports=dict(programs.PORTS), nodes=nodes, simulated=simulated)
    kept = {program.name for program in programs.host_programs(cluster)}
    for node in nodes:
        kept |= {f"{node.name}/{program.name}" for program in programs.node_programs(cluster, node)}
    assert {report.name for report in processes.reports(cluster)} == kept


def test_a_cluster_whose_folder_was_removed_can_still_be_taken_down(tmp_path: Path) -> None:
    orders, uid = tmp_path / "clusters" / "x" / "programs.json", new_uid()
    environment = {**os.environ, CLUSTER_MARK: uid}
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()", str(orders)]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, env=environment) as program:
        assert launcher.recovered(tmp_path, "y") is None
        cluster = launcher.recovered(tmp_path, "x")
        assert cluster is not None and cluster.uid == uid and cluster.nodes == ()
        asyncio.run(launcher.stop(cluster, Progress()))
        assert program.wait() != 0
    assert launcher.recovered(tmp_path / "elsewhere", "x") is None
