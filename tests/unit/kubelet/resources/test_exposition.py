from __future__ import annotations

from kubelet.resources import exposition

CONTAINER = {
    "name": "main",
    "startTime": "2026-01-02T03:04:05Z",
    "cpu": {"usageCoreNanoSeconds": 1_500_000_000},
    "memory": {"workingSetBytes": 10, "usageBytes": 12, "rssBytes": 8},
    "swap": {"swapUsageBytes": 0},
    "rootfs": {"usedBytes": 7},
}
SUMMARY = {
    "node": {"cpu": {"usageCoreNanoSeconds": 2_000_000_000}, "memory": {"workingSetBytes": 20}},
    "pods": [
        {
            "podRef": {"name": "web", "namespace": "default", "uid": "u"},
            "containers": [CONTAINER],
            "cpu": CONTAINER["cpu"],
            "memory": CONTAINER["memory"],
            "network": {"name": "eth0", "rxBytes": 5, "rxErrors": 0, "txBytes": 6, "txErrors": 0},
        }
    ],
}
LABELS = 'container="main",namespace="default",pod="web"'


def test_resource_metrics() -> None:
    text = exposition.resource_metrics(SUMMARY)
    assert f"container_cpu_usage_seconds_total{{{LABELS}}} 1.500000 " in text
    assert f"container_start_time_seconds{{{LABELS}}} 1767323045.000000 " in text
    assert "node_memory_working_set_bytes 20 " in text and "resource_scrape_error 0\n" in text


def test_cadvisor_metrics() -> None:
    status = {"name": "main", "image": "nginx:1", "containerID": "containerd://abc"}
    pod = {"metadata": {"uid": "u"}, "status": {"qosClass": "Burstable", "containerStatuses": [status]}}
    text = exposition.cadvisor_metrics(SUMMARY, [pod], 2, 1 << 30)
    place = 'id="/kubepods/burstable/podu/abc",image="nginx:1",name="abc",namespace="default",pod="web"'
    assert f'container_memory_working_set_bytes{{container="main",{place}}} 10\n' in text
    assert f'container_cpu_usage_seconds_total{{container="main",cpu="total",{place}}} 1.500000\n' in text
    unknown = exposition.cadvisor_metrics(SUMMARY, [], 2, 1 << 30)
    assert 'container_memory_rss{container="main",id="/kubepods/podu",image="",name="",' in unknown
    assert 'container_network_receive_bytes_total{id="/kubepods/podu",interface="eth0",' in text
