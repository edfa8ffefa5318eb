"""The summary as Prometheus' text: `/metrics/resource`.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.apimachinery.time import parse_time
from kubarium.component_base import stability

RESOURCE = {
    "container_cpu_usage_seconds_total": (
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    ),
    "container_memory_working_set_bytes": ("gauge", "Current working set of the container in bytes"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "container_swap_usage_bytes": (
        "gauge",
        "Current amount of the container swap usage in bytes. Reported only on non-windows systems",
    ),
    "node_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the node in core-seconds"),
    "node_memory_working_set_bytes": ("gauge", "Current working set of the node in bytes"),
    "pod_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    "pod_memory_working_set_bytes": ("gauge", "Current working set of the pod in bytes"),
    "resource_scrape_error": (
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    ),
}


def resource_metrics(summary: Object) -> str:
    """`/metrics/resource`."""
    lines: dict[str, list[str]] = {name: [] for name in RESOURCE}
    stamp = int(time.time() * 1000)

    def add(name: str, labels: str, value: Any) -> None:
        lines[name].append(f"{name}{labels} {number(value)} {stamp}")

    node = summary["node"]
    add("node_cpu_usage_seconds_total", "", node["cpu"]["usageCoreNanoSeconds"] / 1e9)
    add("node_memory_working_set_bytes", "", node["memory"]["workingSetBytes"])
    lines["resource_scrape_error"].append("resource_scrape_error 0")
    for pod in summary["pods"]:
        labels = f'namespace="{pod["podRef"]["namespace"]}",pod="{pod["podRef"]["name"]}"'
        for one in pod["containers"]:
            own = f'{{container="{one["name"]}",{labels}}}'
            add("container_cpu_usage_seconds_total", own, one["cpu"]["usageCoreNanoSeconds"] / 1e9)
            add("container_memory_working_set_bytes", own, one["memory"]["workingSetBytes"])
            add("container_start_time_seconds", own, parse_time(one["startTime"]).timestamp())
            add("container_swap_usage_bytes", own, one["swap"]["swapUsageBytes"])
        of_pod = f"{{{labels}}}"
        add("pod_cpu_usage_seconds_total", of_pod, pod["cpu"].get("usageCoreNanoSeconds", 0) / 1e9)
        add("pod_memory_working_set_bytes", of_pod, pod["memory"].get("workingSetBytes", 0))
    return "".join(
        _block(name, kind, f"[{stability.level_of(name)}] {help}", lines[name])
        for name, (kind, help) in RESOURCE.items()
    )


def number(value: Any) -> str:
    """A value as metrics show it."""
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _block(name: str, kind: str, help: str, lines: Iterable[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n{body}"
