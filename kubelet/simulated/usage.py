"""What the containers of simulated nodes pretend to use, as the kubelet's `/metrics/resource` tells it.

simulated.kubarium.io/cpu and simulated.kubarium.io/memory say how much each container of a pod uses (1m, 1Mi).
"""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, annotations_of, status_of, uid_of
from kubelet.simulated.behaviour import PREFIX

METRICS = (
    "container_cpu_usage_seconds_total",
    "container_memory_working_set_bytes",
    "node_cpu_usage_seconds_total",
    "node_memory_working_set_bytes",
)


class Usage:
    """Counts the processor time of each pod's containers: it grows by what is annotated now, and never falls."""

    def __init__(self) -> None:
        self._spent: dict[
            str, tuple[float, float]
        ] = {}  # uid -> moment, seconds of each container until then
        self._nodes: dict[str, float] = {}  # name -> seconds of pods that are gone

    def page(self, node: str, pods: Iterable[Object], now: float) -> str:
        """The metrics of one node."""
        lines: dict[str, list[str]] = {name: [] for name in METRICS}
        cpu, memory = self._nodes.get(node, 0.0), 0
        for pod in pods:
            if pod_status.phase_of(pod) != pod_status.RUNNING:
                continue
            seconds, size = self._seconds(pod, now), _amount(pod, "memory", "1Mi")
            for status in status_of(pod).get("containerStatuses") or []:
                metadata = pod["metadata"]
                where = f'container="{status["name"]}",namespace="{metadata["namespace"]}",pod="{metadata["name"]}"'
                lines[METRICS[0]].append(f"{{{where}}} {seconds:.6f}")
                lines[METRICS[1]].append(f"{{{where}}} {size:.0f}")
                cpu, memory = cpu + seconds, memory + int(size)
        lines[METRICS[2]].append(f" {cpu:.6f}")
        lines[METRICS[3]].append(f" {memory}")
        return "".join(
            f"# TYPE {name} {'counter' if name.endswith('total') else 'gauge'}\n"
            + "".join(f"{name}{line}\n" for line in found)
            for name, found in lines.items()
        )

    def forget(self, pod: Object, node: str) -> None:
        """The pod is gone; the node's own count keeps what it has used."""
        known = self._spent.pop(uid_of(pod), None)
        if known is not None:
            containers = len(status_of(pod).get("containerStatuses") or [])
            self._nodes[node] = self._nodes.get(node, 0.0) + known[1] * containers

    def _seconds(self, pod: Object, now: float) -> float:
        before, spent = self._spent.get(uid_of(pod), (now, 0.0))
        spent += _amount(pod, "cpu", "1m") * max(0.0, now - before)
        self._spent[uid_of(pod)] = (now, spent)
        return spent


def _amount(pod: Object, name: str, default: str) -> float:
    try:
        return quantity.milli_value(annotations_of(pod).get(PREFIX + name, default)) / 1000
    except ValueError:
        return 0.0
