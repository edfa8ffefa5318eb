"""Pure: what pods use of a resource that runs short -> which of them goes first, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import resources
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, annotations_of, spec_of, uid_of
from kubelet.resources.thresholds import of_resource

CRITICAL_PRIORITY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a pod uses of one resource: each of its containers, and besides them its volumes."""

    containers: Mapping[str, int] = field(default_factory=dict)
    besides: int = 0

    @property
    def total(self) -> int:
        """All together."""
        return sum(self.containers.values()) + self.besides


def rank(pods: Iterable[Object], used: Mapping[str, Consumption], resource: str) -> list[Object]:
    """Pods in the order in which they should go; critical ones are left out.

    First those that use more than they asked for, then the less important, then those that exceed by more. Process
    ids are not asked for: there priority and number decide.
    """

    def key(pod: Object) -> tuple[bool, int, int]:
        total = used.get(uid_of(pod), Consumption()).total
        asked = resources.requests_of(pod).get(resource, 0)
        modest = resource != "pids" and total <= asked
        return modest, priority_of(pod), asked - total

    return sorted((pod for pod in pods if not is_critical(pod)), key=key)


def priority_of(pod: Object) -> int:
    """`spec.priority`."""
    return int(spec_of(pod).get("priority") or 0)


def is_critical(pod: Object) -> bool:
    """Static pods and those of the system's own priority classes are never evicted."""
    return (
        priority_of(pod) >= CRITICAL_PRIORITY
        or annotations_of(pod).get("kubernetes.io/config.source", "api") != "api"
    )


def complaint(pod: Object, used: Consumption, resource: str) -> str:
    """Which containers used more than they asked for."""
    parts = []
    for container in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]:
        requests = (container.get("resources") or {}).get("requests") or {}
        asked = quantity.value(requests.get(resource, "0"))
        amount = used.containers.get(container["name"], 0)
        if amount <= asked:
            continue
        parts.append(
            f"Container {container['name']} was using {of_resource(amount, resource)}, "
            f"request is {of_resource(asked, resource)}, "
            f"has larger consumption of {resource}. "
        )
    return "".join(parts)


def refuses(pod: Object, pressure: Mapping[str, bool]) -> str:
    """Why a new pod may not begin on a node under pressure; empty when it may."""
    if not any(pressure.values()) or is_critical(pod):
        return ""
    if {kind for kind, is_so in pressure.items() if is_so} == {"MemoryPressure"}:
        tolerated = any(
            one.get("key") == "node.kubernetes.io/memory-pressure"
            or (not one.get("key") and one.get("operator") == "Exists")
            for one in spec_of(pod).get("tolerations") or []
        )
        if resources.qos_class(pod) != "BestEffort" or tolerated:
            return ""
    under = sorted(kind for kind, is_so in pressure.items() if is_so)
    return f"The node had condition: [{' '.join(under)}]. "
