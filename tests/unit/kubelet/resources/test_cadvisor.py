"""What the kernel says in the files of a cgroup, as dashboards ask for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubarium.apimachinery.object import Object
from kubelet.resources import cadvisor
from kubelet.resources.cgroups import Cgroups
from tests.unit.kubelet.making import make_pod
from tests.unit.kubelet.resources.test_exposition import SUMMARY

POD = "node-1/kubepods/burstable/podu"
V1 = {
    "cpuacct/{}/cpuacct.usage": "1500000000\n",
    "cpu/{}/cpu.stat": "nr_periods 7\nnr_throttled 3\nthrottled_time 2500000000\n",
    "cpu/{}/cpu.cfs_quota_us": "{quota}\n",
    "cpu/{}/cpu.cfs_period_us": "100000\n",
    "memory/{}/memory.usage_in_bytes": "100\n",
    "memory/{}/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/{}/memory.stat": "cache 1\ntotal_cache 30\ntotal_rss 20\ntotal_inactive_file 10\npgfault 4\n",
    "memory/{}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory/{}/cgroup.procs": f"{os.getpid()}\n",
    "pids/{}/pids.current": "5\n",
    "pids/{}/pids.max": "max\n",
    "blkio/{}/blkio.throttle.io_service_bytes_recursive": "999:1 Read 8\n999:1 Write 9\nTotal 17\n",
}
V2 = {
    "{}/cpu.stat": "usage_usec 1500000\nnr_periods 7\nnr_throttled 3\nthrottled_usec 2500000\n",
    "{}/cpu.max": "{quota} 100000\n",
    "{}/cpu.weight": "100\n",
    "{}/memory.current": "100\n",
    "{}/memory.max": "max\n",
    "{}/memory.stat": "file 30\nanon 20\ninactive_file 10\npgfault 4\n",
    "{}/memory.events": "low 0\nmax 1\noom_kill 2\n",
    "{}/cgroup.procs": f"{os.getpid()}\n",
    "{}/pids.current": "5\n",
    "{}/pids.max": "max\n",
    "{}/io.stat": "999:1 rbytes=8 wbytes=9 rios=1 wios=1\n",
    "{}/cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=4000000\nfull avg10=0.00 total=0\n",
}


def pod() -> Object:
    status = {"name": "main", "image": "nginx:1", "containerID": "containerd://abc"}
    found = make_pod(uid="u", status={"containerStatuses": [status]})
    return found


def page(mount: Path, files: dict[str, str]) -> dict[tuple[str, str, str], float]:
    """(name, id, what else tells samples of a name apart) -> value"""
    if files is V2:
        (mount / "cgroup.controllers").touch()
    for group, quota in (("", "-1"), ("/abc", "50000"), ("/sandbox", "max" if files is V2 else "-1")):
        for name, text in files.items():
            file = mount / name.format(POD + group)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{quota}", "max" if files is V2 and quota == "-1" else quota))
    text = cadvisor.expose(Cgroups("/node-1", mount), [pod()], SUMMARY, 2, 1 << 30)
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            extra = "".join(labels.get(key, "") for key in ("device", "failure_type", "interface", "cpu"))
            found[sample.name, labels.get("id", "").rpartition("/")[2], extra + labels.get("scope", "")] = (
                sample.value
            )
            if labels.get("id", "").endswith("/abc"):
                told = (labels["container"], labels["image"], labels["pod"], labels["namespace"])
                assert told == ("main", "nginx:1", "web", "default")
    return found


@pytest.mark.parametrize("files", [V1, V2], ids=["v1", "v2"])
def test_the_numbers_of_a_container(tmp_path: Path, files: dict[str, str]) -> None:
    found = page(tmp_path, files)
    expected = {
        ("container_cpu_usage_seconds_total", "total"): 1.5,
        ("container_cpu_cfs_periods_total", ""): 7,
        ("container_cpu_cfs_throttled_periods_total", ""): 3,
        ("container_cpu_cfs_throttled_seconds_total", ""): 2.5,
        ("container_spec_cpu_quota", ""): 50000,
        ("container_spec_cpu_period", ""): 100000,
        ("container_memory_usage_bytes", ""): 100,
        ("container_memory_working_set_bytes", ""): 90,
        ("container_memory_cache", ""): 30,
        ("container_memory_rss", ""): 20,
        ("container_memory_failures_total", "pgfaultcontainer"): 4,
        ("container_oom_events_total", ""): 2,
        ("container_spec_memory_limit_bytes", ""): 0,
        ("container_threads", ""): 5,
        ("container_threads_max", ""): 0,
        ("container_processes", ""): 1,
        ("container_fs_reads_bytes_total", "999:1"): 8,
        ("container_fs_writes_bytes_total", "999:1"): 9,
        ("container_fs_usage_bytes", ""): 7,
        ("container_start_time_seconds", ""): 1767323045,
    }
    assert {key: found.get((key[0], "abc", key[1])) for key in expected} == expected
    assert found["container_file_descriptors", "abc", ""] > 2
    assert (found["machine_cpu_cores", "", ""], found["machine_memory_bytes", "", ""]) == (2, 1 << 30)
    if files is V2:
        assert found["container_pressure_cpu_waiting_seconds_total", "abc", ""] == 4
        assert found["container_spec_cpu_shares", "abc", ""] == 2597


def test_what_belongs_to_a_pod_and_its_sandbox(tmp_path: Path) -> None:
    found = page(tmp_path, V1)
    assert found["container_memory_rss", "podu", ""] == 20
    assert ("container_cpu_cfs_periods_total", "podu", "") not in found, (
        "where no quota is, nothing is throttled"
    )
    places = {id for name, id, _ in found if name == "container_network_receive_packets_total"}
    assert places <= {"sandbox"}, "a machine may have no network but its own"
