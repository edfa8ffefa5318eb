"""The summary as Prometheus' text: `/metrics/resource`, and the basics of `/metrics/cadvisor`.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from kubarium.apimachinery.object import Object, status_of, uid_of
from kubarium.apimachinery.time import parse_time

RESOURCE = {
    "container_cpu_usage_seconds_total": (
        "counter",
        "Cumulative cpu time consumed by the container in core-seconds",
    ),
    "container_memory_working_set_bytes": ("gauge", "Current working set of the container in bytes"),
    "container_start_time_seconds": ("gauge", "Start time of the container since unix epoch in seconds"),
    "container_swap_usage_bytes": ("gauge", "Current amount of the container swap usage in bytes."),
    "node_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the node in core-seconds"),
    "node_memory_working_set_bytes": ("gauge", "Current working set of the node in bytes"),
    "pod_cpu_usage_seconds_total": ("counter", "Cumulative cpu time consumed by the pod in core-seconds"),
    "pod_memory_working_set_bytes": ("gauge", "Current working set of the pod in bytes"),
    "resource_scrape_error": (
        "gauge",
        "1 if there was an error while getting container metrics, 0 otherwise",
    ),
}
Read = Callable[[Object], Any]
CADVISOR: dict[str, tuple[str, str, Read]] = {
    "container_cpu_usage_seconds_total": (
        "counter",
        "Cumulative cpu time consumed in seconds.",
        lambda one: one["cpu"]["usageCoreNanoSeconds"] / 1e9,
    ),
    "container_fs_usage_bytes": (
        "gauge",
        "Number of bytes that are consumed by the container on this filesystem.",
        lambda one: one["rootfs"]["usedBytes"],
    ),
    "container_memory_rss": ("gauge", "Size of RSS in bytes.", lambda one: one["memory"]["rssBytes"]),
    "container_memory_usage_bytes": (
        "gauge",
        "Current memory usage in bytes, including all memory regardless of when it was accessed",
        lambda one: one["memory"]["usageBytes"],
    ),
    "container_memory_working_set_bytes": (
        "gauge",
        "Current working set in bytes.",
        lambda one: one["memory"]["workingSetBytes"],
    ),
    "container_start_time_seconds": (
        "gauge",
        "Start time of the container since unix epoch in seconds.",
        lambda one: parse_time(one["startTime"]).timestamp(),
    ),
}
NETWORK = {
    "container_network_receive_bytes_total": ("Cumulative count of bytes received", "rxBytes"),
    "container_network_receive_errors_total": (
        "Cumulative count of errors encountered while receiving",
        "rxErrors",
    ),
    "container_network_transmit_bytes_total": ("Cumulative count of bytes transmitted", "txBytes"),
    "container_network_transmit_errors_total": (
        "Cumulative count of errors encountered while transmitting",
        "txErrors",
    ),
}


def resource_metrics(summary: Object) -> str:
    """`/metrics/resource`."""
    lines: dict[str, list[str]] = {name: [] for name in RESOURCE}
    stamp = int(time.time() * 1000)

    def add(name: str, labels: str, value: Any) -> None:
        lines[name].append(f"{name}{labels} {_number(value)} {stamp}")

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
        _block(name, kind, f"[STABLE] {help}", lines[name]) for name, (kind, help) in RESOURCE.items()
    )


def cadvisor_metrics(summary: Object, pods: Iterable[Object], cpus: int, memory: int) -> str:
    """What dashboards ask of cAdvisor, as far as the runtime tells it; they look for series that have an image."""
    known = {uid_of(pod): pod for pod in pods}
    blocks = [
        _block("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [f"machine_cpu_cores {cpus}"]),
        _block(
            "machine_memory_bytes",
            "gauge",
            "Amount of memory installed on the machine.",
            [f"machine_memory_bytes {memory}"],
        ),
    ]
    for name, (kind, help, read) in CADVISOR.items():
        total = ',cpu="total"' if name == "container_cpu_usage_seconds_total" else ""
        lines = [
            f'{name}{{container="{one["name"]}"{total},{_place(known.get(pod["podRef"]["uid"]), pod, one["name"])},'
            f"{_pod_labels(pod)}}} {_number(read(one))}"
            for pod in summary["pods"]
            for one in pod["containers"]
        ]
        blocks.append(_block(name, kind, help, lines))
    for name, (help, key) in NETWORK.items():
        lines = [
            f'{name}{{id="/kubepods/pod{pod["podRef"]["uid"]}",interface="{pod["network"]["name"]}",'
            f"{_pod_labels(pod)}}} {pod['network'][key]}"
            for pod in summary["pods"]
            if pod.get("network")
        ]
        blocks.append(_block(name, "counter", help, lines))
    return "".join(blocks)


def _place(pod: Object | None, found: Object, container: str) -> str:
    """Where a container lies below the cgroup of all pods, what it was made from, and its name at the runtime."""
    status = status_of(pod or {})
    statuses = [
        one
        for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for one in status.get(key) or []
    ]
    own: Object = next((one for one in statuses if one["name"] == container), {})
    folder = {"Burstable": "/burstable", "BestEffort": "/besteffort"}.get(status.get("qosClass") or "", "")
    id = (own.get("containerID") or "").rpartition("://")[2]
    path = "/".join(filter(None, (f"/kubepods{folder}", f"pod{found['podRef']['uid']}", id)))
    return f'id="{path}",image="{own.get("image") or ""}",name="{id}"'


def _pod_labels(pod: Object) -> str:
    return f'namespace="{pod["podRef"]["namespace"]}",pod="{pod["podRef"]["name"]}"'


def _number(value: Any) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _block(name: str, kind: str, help: str, lines: Iterable[str]) -> str:
    body = "".join(f"{line}\n" for line in lines)
    return f"# HELP {name} {help}\n# TYPE {name} {kind}\n{body}"
