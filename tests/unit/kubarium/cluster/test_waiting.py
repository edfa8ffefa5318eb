"""Whoever waits for what cannot come is told at once what is missing, and why."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from kubarium.cluster import health, keeper, processes, programs, state, waiting
from kubarium.cluster.keeper import Program
from kubarium.cluster.machine import LaunchError
from kubarium.cluster.programs import CLUSTER_MARK
from kubarium.cluster.state import Cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    found = Cluster(tmp_path, uid=state.new_uid(), ports=dict(programs.PORTS))
    found.run.mkdir(parents=True)
    return found


def wait_in_vain(cluster: Cluster, *needed: str) -> str:
    """What is said to those who wait for something that never comes."""

    async def never() -> bool:
        return False

    def missed() -> Collection[str]:
        return needed

    with pytest.raises(LaunchError) as refusal:
        asyncio.run(waiting.until(never, 60, lambda: "nothing comes", cluster, missed))
    return str(refusal.value)


def test_a_program_that_ends_again_and_again(cluster: Cluster) -> None:
    orders = cluster.dir / "programs.json"
    fails = ("sh", "-c", "echo the port is taken; exit 3")
    log = str(cluster.logs / "etcd.log")
    keeper.write_programs(orders, [Program("etcd", fails, log)], cluster.run)
    argv = [sys.executable, "-m", "kubarium.cluster.keeper", str(orders)]
    with subprocess.Popen(
        argv, env={**os.environ, CLUSTER_MARK: cluster.uid}, stderr=subprocess.DEVNULL
    ) as process:
        (cluster.dir / "keeper.pid").write_text(str(process.pid))
        said = wait_in_vain(cluster)
        assert said.startswith("nothing comes: etcd ends again and again (exit code 3); the end of ")
        assert "\n  the port is taken\n" in said
        process.send_signal(signal.SIGTERM)
    assert wait_in_vain(cluster).startswith(
        "nothing comes: the keeper, which starts every program, has ended"
    )


def test_what_a_program_said_of_its_end(tmp_path: Path) -> None:
    said = 'level=error component=x at=kubarium.component_base.process msg="task serving failed: taken"'
    (tmp_path / "log").write_text(f"begins\n{said}\nTraceback\nnoise\n")
    assert waiting.last_words(tmp_path / "log") == f"; the end of {tmp_path}/log:\n  {said}"
    (tmp_path / "log").write_text("1\n2\n3\n4\n5\n6\n")
    assert waiting.last_words(tmp_path / "log") == f"; the end of {tmp_path}/log:\n  2\n  3\n  4\n  5\n  6"
    assert waiting.last_words(tmp_path / "none") == ""


def test_a_program_that_was_stopped(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "BY_HAND_SECONDS", 0.0)
    cluster = replace(cluster, stopped=("kube-apiserver", "kube-scheduler"))
    assert "kube-apiserver was stopped; let it run again: kubarium start kube-apiserver\n" in wait_in_vain(
        cluster, "etcd", "kube-apiserver"
    )


def test_who_is_believed_to_run(cluster: Cluster) -> None:
    others = [each.name for each in processes.reports(cluster) if each.name != "etcd"]
    assert health.unsteady(cluster, {}, {}) == ["etcd", *others]
    cluster = replace(cluster, stopped=tuple(others))
    with subprocess.Popen(["sleep", "600"], env={**os.environ, CLUSTER_MARK: cluster.uid}) as process:
        report = f'{{"pid": {process.pid}, "restarts": 1, "exit": ""}}'
        (cluster.run / "etcd.json").write_text(report)
        assert health.unsteady(cluster, {"etcd": 1}, {}) == []
        assert health.unsteady(cluster, {"etcd": 0}, {}) == ["etcd"]  # it ended a moment ago
        with_flags = cluster.with_flags({"etcd": {"quota": "1"}})
        assert health.unsteady(with_flags, {"etcd": 1}, {}) == ["etcd"]  # and was not told of the flag
        process.kill()


def test_flags_are_set_and_taken_back(cluster: Cluster) -> None:
    cluster = cluster.with_flags({"etcd": {"a": "1", "b": "2"}}).with_flags(
        {"kubelet": {"c": "3"}}, "node-1/"
    )
    assert cluster.extra == {"etcd": {"a": "1", "b": "2"}, "node-1/kubelet": {"c": "3"}}
    cluster = cluster.with_flags({"etcd": {"a": None, "b": "4"}, "kubelet": {"c": None}})
    assert cluster.extra == {"etcd": {"b": "4"}, "node-1/kubelet": {"c": "3"}}
    assert cluster.with_flags({"etcd": {"b": None}}).extra == {"node-1/kubelet": {"c": "3"}}
