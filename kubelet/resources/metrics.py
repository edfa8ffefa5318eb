"""What the kubelet measures of itself, by upstream's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import prometheus_client
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kubarium.apimachinery.object import Object
from kubarium.component_base import stability
from kubarium.component_base.metrics import Counts, Readings, Timings

RELIST_SECONDS = prometheus_client.Histogram(
    "kubelet_pleg_relist_duration_seconds",
    "Duration in seconds for relisting pods in PLEG.",
    buckets=(0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10),
)
POD_START_SECONDS = prometheus_client.Histogram(
    "kubelet_pod_start_duration_seconds",
    "Duration in seconds from kubelet seeing a pod for the first time to the pod starting to run",
    buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600),
)

INFEASIBLE_RESIZES = Counts(
    "kubelet_pod_infeasible_resizes_total", "Number of infeasible resizes for pods.", ("reason_detail",)
)
PENDING_RESIZES = Readings("kubelet_pod_pending_resizes", "Number of pending resizes for pods.", ("reason",))
IN_PROGRESS_RESIZES = Readings(
    "kubelet_pod_in_progress_resizes", "Number of in-progress resizes for pods.", ()
)
RESIZE_MILLISECONDS = Timings(
    "kubelet_pod_resize_duration_milliseconds",
    "Duration in milliseconds to actuate a pod resize",
    ("success",),
    [10.0 * 2**power for power in range(15)],
)


VOLUME_METRICS = (
    ("kubelet_volume_stats_capacity_bytes", "capacityBytes", "Capacity in bytes of the volume"),
    ("kubelet_volume_stats_available_bytes", "availableBytes", "Number of available bytes in the volume"),
    ("kubelet_volume_stats_used_bytes", "usedBytes", "Number of used bytes in the volume"),
    ("kubelet_volume_stats_inodes", "inodes", "Maximum number of inodes in the volume"),
    ("kubelet_volume_stats_inodes_free", "inodesFree", "Number of free inodes in the volume"),
    ("kubelet_volume_stats_inodes_used", "inodesUsed", "Number of used inodes in the volume"),
)


PROBES = prometheus_client.CollectorRegistry()
PROBE_TOTAL = prometheus_client.Counter(
    "prober_probe",
    "Cumulative number of a liveness, readiness or startup probe for a container by result.",
    ["probe_type", "result", "container", "pod", "namespace", "pod_uid"],
    registry=PROBES,
)


def probes_page() -> bytes:
    """`/metrics/probes`."""
    return stability.exposition(PROBES)


class _Watched(Collector):
    """Numbers that are counted when somebody asks."""

    def __init__(self) -> None:
        self.pods: Callable[[], int] = lambda: 0
        self.containers: Callable[[], Mapping[str, int]] = dict
        self.claims: Callable[[], Iterable[tuple[Object, Object]]] = list
        self.node = ""

    def collect(self) -> Iterable[GaugeMetricFamily]:
        pods = GaugeMetricFamily("kubelet_running_pods", "Number of pods that have a running pod sandbox")
        pods.add_metric([], self.pods())
        yield pods
        text = "Number of containers currently running"
        containers = GaugeMetricFamily("kubelet_running_containers", text, labels=["container_state"])
        for state, number in self.containers().items():
            containers.add_metric([state], number)
        yield containers
        node = GaugeMetricFamily(
            "kubelet_node_name", "The node's name. The count is always 1.", labels=["node"]
        )
        node.add_metric([self.node], 1)
        yield node
        yield from self._volumes()

    def _volumes(self) -> Iterable[GaugeMetricFamily]:
        found = list(self.claims())
        for name, key, text in VOLUME_METRICS:
            family = GaugeMetricFamily(name, text, labels=["namespace", "persistentvolumeclaim"])
            for claim, usage in found:
                if key in usage:
                    family.add_metric([claim["namespace"], claim["name"]], usage[key])
            yield family


_watched = _Watched()
prometheus_client.REGISTRY.register(_watched)


def watch(
    *,
    pods: Callable[[], int],
    containers: Callable[[], Mapping[str, int]],
    claims: Callable[[], Iterable[tuple[Object, Object]]],
    node: str,
) -> None:
    """Count these from now on."""
    _watched.pods, _watched.containers, _watched.node = pods, containers, node
    _watched.claims = claims
