"""Whatever is typed wrongly gets one plain line on the error output, and no cluster is begun."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kubarium.cluster import commands as command
from kubarium.cluster import machine, state


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a command that fails, in a home of its own; returns what it complains about."""
    monkeypatch.setenv("KUBARIUM_HOME", str(tmp_path))
    monkeypatch.delenv("KUBARIUM_NAME", raising=False)

    def run(*words: str) -> str:
        monkeypatch.setattr("sys.argv", ["kubarium", *words])
        with pytest.raises(SystemExit) as end:
            command.main()
        said = capsys.readouterr()
        assert end.value.code == 1 and said.out == ""
        return said.err.removeprefix("error: ").strip()

    return run


def made(home: Path, name: str = "kubarium") -> state.Cluster:
    """A cluster that was made and does not run."""
    cluster = state.Cluster(home=home, name=name, uid=state.new_uid())
    state.save(cluster)
    return cluster


def test_an_unknown_cluster(refusal: Callable[..., str], tmp_path: Path) -> None:
    start = f"there is no cluster 'other' in {tmp_path}; start one with: kubarium up --name other"
    for words in (["status"], ["kubeconfig"], ["logs", "etcd"], ["why", "web"], ["kubectl"], ["node", "add"]):
        verb = words[:2] if words[0] == "node" else words[:1]
        assert refusal(*verb, "--name", "other", *words[len(verb) :]) == start
    assert refusal("status") == f"there is no cluster 'kubarium' in {tmp_path}; start one with: kubarium up"


def test_words_are_completed_without_a_cluster(tmp_path: Path) -> None:
    kubectl = [sys.executable, "-m", "kubarium.cluster", "kubectl"]
    environment = os.environ | {"KUBARIUM_HOME": str(tmp_path)}
    script = subprocess.check_output([*kubectl, "completion", "bash"], env=environment, text=True)
    assert "_KUBECTL_COMPLETE=bash_complete" in script
    asked = environment | {
        "_KUBECTL_COMPLETE": "bash_complete",
        "COMP_WORDS": "kubectl roll",
        "COMP_CWORD": "1",
    }
    assert "rollout" in subprocess.check_output(kubectl, env=asked, text=True)


def test_only_pods_have_a_why(refusal: Callable[..., str], tmp_path: Path) -> None:
    made(tmp_path)
    assert refusal("why", "deployment/web").startswith("'deployment/web' is no pod")


def test_images_for_a_cluster_that_is_down(refusal: Callable[..., str], tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "image.tar").touch()
    said = refusal("load", str(tmp_path / "image.tar"))
    assert said == "cluster 'kubarium' is down; start it with: kubarium up"


def test_a_tool_that_is_missing(
    refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = made(tmp_path)
    state.save(replace(cluster, ports={"etcd": 1}))
    monkeypatch.setattr(machine, "find", lambda tool: None)
    assert refusal("etcdctl", "get", "x") == "missing packages: apt-get install etcd-client"
    assert refusal("up", "--name", "new", "--nodes", "0") == "missing packages: apt-get install etcd-server"
    assert state.names(tmp_path) == ["kubarium"]


def test_a_damaged_file(refusal: Callable[..., str], tmp_path: Path) -> None:
    folder = made(tmp_path).dir
    (folder / "cluster.json").write_text("{")
    for words in (["status"], ["down"], ["up"], ["list"]):
        said = refusal(*words)
        assert said.startswith(f"{folder}/cluster.json is damaged (") and said.endswith(f"remove {folder}")


def test_a_home_that_is_no_folder(
    refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBARIUM_HOME", str(tmp_path / "file"))
    assert refusal("up", "--nodes", "0") == f"{tmp_path}/file: File exists"


def test_a_full_disk(refusal: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path)
    monkeypatch.setattr(machine, "SPARE_BYTES", 2**62)
    assert f"MiB are free in {tmp_path}; a cluster needs " in refusal("up")
    monkeypatch.setattr(machine, "DISK_BYTES", 2**61)
    assert f"a cluster needs {2**41}. " in refusal("up", "--name", "new", "--nodes", "0")


def test_who_must_wait_is_told(tmp_path: Path) -> None:
    told: list[str] = []

    def free() -> None:
        told.append("busy")
        fcntl.flock(other, fcntl.LOCK_UN)

    with (tmp_path / "x.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with state.locked(tmp_path / "x.lock", free):
            assert told == ["busy"]
        with state.locked(tmp_path / "x.lock", free):
            assert told == ["busy"]
