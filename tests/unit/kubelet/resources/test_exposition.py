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
    assert "# HELP pod_cpu_usage_seconds_total [STABLE] " in text
    assert "# HELP container_swap_usage_bytes [ALPHA] " in text
    assert f"container_start_time_seconds{{{LABELS}}} 1767323045.000000 " in text
    assert "node_memory_working_set_bytes 20 " in text and "resource_scrape_error 0\n" in text
