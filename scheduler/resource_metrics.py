"""`/metrics/resources`: what every pod asks for, as the scheduler counts it.

Source: https://kubernetes.io/docs/concepts/cluster-administration/system-metrics/#kube-scheduler-metrics
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from kubarium.api.core.pod import resources
from kubarium.api.core.pod.status import is_terminal
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of
from kubarium.component_base import stability
from kubarium.component_base.serving import Page, Scope

LABELS = ("namespace", "pod", "node", "scheduler", "priority", "resource", "unit")
SIDES = {
    "kube_pod_resource_request": (
        resources.requests_of,
        "Resources requested by workloads on the cluster, broken down by pod. This shows the resource usage the "
        "scheduler and kubelet expect per pod for resources along with the unit for the resource if any.",
    ),
    "kube_pod_resource_limit": (
        resources.limits_of,
        "Resources limit for workloads on the cluster, broken down by pod. This shows the resource usage the "
        "scheduler and kubelet expect per pod for resources along with the unit for the resource if any.",
    ),
}
BYTES = ("memory", "storage", "ephemeral-storage")


class PodResources(Collector):
    """Reads the pods when somebody asks."""

    def __init__(self, pods: Callable[[], Iterable[Object]]) -> None:
        self._pods = pods

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family for requests, one for limits."""
        living = [pod for pod in self._pods() if not is_terminal(pod)]
        for name, (side, text) in SIDES.items():
            family = GaugeMetricFamily(name, text, labels=LABELS)
            for pod in living:
                for resource, amount in sorted(side(pod).items()):
                    if amount:
                        family.add_metric(_labels(pod, resource), _value(resource, amount))
            yield family


def page_of(pods: Callable[[], Iterable[Object]]) -> Page:
    """The page for these pods."""
    registry = CollectorRegistry()
    registry.register(PodResources(pods))

    async def page(scope: Scope) -> tuple[int, str, bytes]:
        return 200, "text/plain; version=0.0.4; charset=utf-8", stability.exposition(registry)

    return page


def _labels(pod: Object, resource: str) -> list[str]:
    spec = spec_of(pod)
    priority = "" if spec.get("priority") is None else str(spec["priority"])
    where = (spec.get("nodeName") or "", spec.get("schedulerName") or "", priority)
    return [namespace_of(pod), name_of(pod), *where, resource, unit_of(resource)]


def unit_of(resource: str) -> str:
    """In what a resource is counted."""
    if resource == "cpu":
        return "cores"
    return "bytes" if resource in BYTES or resource.startswith("hugepages-") else "integer"


def _value(resource: str, amount: int) -> float:
    return amount / 1000 if resource == "cpu" else float(amount)
