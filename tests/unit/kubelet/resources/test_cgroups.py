"""The cgroup tree, on plain directories that look like cgroup v1 and v2."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubarium.apimachinery.object import Object
from kubelet.resources.cgroups import Cgroups
from tests.unit.kubelet.making import make_container, make_pod

CONTROLLERS = ("cpu", "memory", "pids", "cpuset")


def pod(cpu: str, memory: str) -> Object:
    amounts = {"cpu": cpu, "memory": memory}
    return make_pod(make_container(resources={"requests": {"cpu": "100m"}, "limits": amounts}), uid="u1")


@pytest.fixture
def v1(tmp_path: Path) -> Path:
    for controller in CONTROLLERS:
        (tmp_path / controller).mkdir()
        (tmp_path / controller / "cgroup.procs").touch()
    for file in ("cpuset.cpus", "cpuset.mems"):
        (tmp_path / "cpuset" / file).write_text("0-1\n")
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    return tmp_path


def test_a_pod_on_v1(v1: Path) -> None:
    cgroups = Cgroups("/node-1", v1, pod_pids=50)
    cgroups.set_up()
    path = cgroups.create(pod("500m", "64Mi"))
    assert path == "/node-1/kubepods/burstable/podu1"
    assert (v1 / f"cpu{path}/cpu.shares").read_text() == "102"
    assert (v1 / f"cpu{path}/cpu.cfs_quota_us").read_text() == "50000"
    assert (v1 / f"memory{path}/memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (v1 / f"pids{path}/pids.max").read_text() == "50"
    assert (v1 / f"cpuset{path}/cpuset.cpus").read_text() == "0-1\n", "an empty cpuset accepts no process"
    assert cgroups.pods() == {"u1"}


def test_a_pod_on_v2(v2: Path) -> None:
    cgroups = Cgroups("/", v2, pod_pids=50)
    assert cgroups.is_v2
    cgroups.set_up()
    place = v2 / cgroups.create(pod("500m", "64Mi")).lstrip("/")
    assert place == v2 / "kubepods/burstable/podu1"
    assert (place / "cpu.max").read_text() == "50000 100000"
    assert (place / "memory.max").read_text() == str(64 << 20)
    assert (place / "pids.max").read_text() == "50"
    assert (v2 / "kubepods/besteffort/cpu.weight").read_text() == "1"
    assert (v2 / "kubepods/burstable/cgroup.subtree_control").read_text().startswith("+")


def test_pods_together_on_v1(v1: Path) -> None:
    cgroups = Cgroups("/", v1)
    cgroups.set_up()
    cgroups.enforce_allocatable(1500, 1 << 30)
    assert (v1 / "cpu/kubepods/cpu.shares").read_text() == "1536"
    assert (v1 / "memory/kubepods/memory.limit_in_bytes").read_text() == str(1 << 30)
    cgroups.share_by_class([pod("500m", "64Mi"), pod("500m", "64Mi")])
    assert (v1 / "cpu/kubepods/burstable/cpu.shares").read_text() == "204"


def test_what_pods_use(v1: Path) -> None:
    cgroups = Cgroups("/", v1)
    assert cgroups.working_set() is None
    cgroups.set_up()
    (v1 / "memory/kubepods/memory.usage_in_bytes").write_text("1000\n")
    (v1 / "memory/kubepods/memory.stat").write_text("cache 5\ntotal_inactive_file 400\n")
    assert cgroups.working_set() == 600
    place = cgroups.create(pod("1", "1Gi"))
    (v1 / f"pids{place}/pids.current").write_text("7\n")
    assert cgroups.processes(pod("1", "1Gi")) == 7


def test_what_pods_use_on_v2(v2: Path) -> None:
    cgroups = Cgroups("/", v2)
    cgroups.set_up()
    (v2 / "kubepods/memory.current").write_text("1000\n")
    (v2 / "kubepods/memory.stat").write_text("anon 5\ninactive_file 300\n")
    assert cgroups.working_set() == 700


def test_nothing_of_a_pod_stays(v1: Path) -> None:
    cgroups = Cgroups("/", v1)
    for hierarchy in ("cpu", "unified"):  # runc makes both
        (v1 / hierarchy / "kubepods/burstable/podu1/container").mkdir(parents=True)
    (v1 / "memory/kubepods/podu2").mkdir(parents=True)  # a removal that stopped half way
    assert cgroups.pods() == {"u1", "u2"}
    for uid in cgroups.pods():
        cgroups.remove(uid)
    assert not list(v1.glob("*/kubepods/burstable/podu1")) and cgroups.pods() == set()


def test_others_keep_to_what_is_reserved_for_them(v1: Path) -> None:
    cgroups = Cgroups("/", v1)
    with pytest.raises(FileNotFoundError, match='"/system" cgroup does not exist'):
        cgroups.enforce_reserved("/system", {"cpu": "1"})
    for controller in CONTROLLERS:
        (v1 / controller / "system").mkdir()
    cgroups.enforce_reserved("/system", {"cpu": "500m", "memory": "1Gi", "pid": "100"})
    assert (v1 / "cpu/system/cpu.shares").read_text() == "512"
    assert (v1 / "memory/system/memory.limit_in_bytes").read_text() == str(1 << 30)
    assert (v1 / "pids/system/pids.max").read_text() == "100"
