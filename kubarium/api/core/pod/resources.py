"""How much a pod asks for: effective requests and limits, and its quality of service class.

Amounts are whole numbers in the unit in which the scheduler and the kubelet count: millicores for `cpu`,
bytes or pieces for everything else.
Source: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers
"""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object

Amounts = dict[str, int]


def amount(resource: str, text: str | int | float) -> int:
    """One quantity as a whole number: millicores for cpu, units for the rest."""
    return quantity.milli_value(text) if resource == "cpu" else quantity.value(text)


def amounts(texts: Object | None) -> Amounts:
    """A `ResourceList` as whole numbers."""
    return {resource: amount(resource, text) for resource, text in texts.items()} if texts else {}


def is_extended(resource: str) -> bool:
    """Is this a resource that Kubernetes itself knows nothing about: a device, or whatever an operator counts?"""
    domain, slash, _ = resource.partition("/")
    native = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    return bool(slash) and not native and not resource.startswith("requests.")


def requests_of(pod: Object) -> Amounts:
    """What the scheduler must find room for: all containers and sidecars, or the largest init container, plus overhead.

    A resize that the kubelet has not carried out yet counts with the larger of the wanted and the allocated amount.
    """
    allocated = {
        status["name"]: amounts(status["allocatedResources"])
        for status in (pod.get("status") or {}).get("containerStatuses") or []
        if status.get("allocatedResources")
    }
    return _effective(pod.get("spec") or {}, "requests", allocated)


def limits_of(pod: Object) -> Amounts:
    """The most that the pod may use; a resource that some container leaves unlimited is still summed over
    the others.
    """
    return _effective(pod.get("spec") or {}, "limits", {})


def quantities_of(spec: Object, side: str) -> dict[str, str]:
    """The sum over all containers as texts, each in the format that its first container uses."""
    formats: dict[str, quantity.Format] = {}
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        for name, text in ((container.get("resources") or {}).get(side) or {}).items():
            formats.setdefault(name, quantity.parse(text).format)
    return {
        name: (quantity.of_milli if name == "cpu" else quantity.of_value)(number, formats[name])
        for name, number in _effective(spec, side, {}).items()
    }


def is_restartable_init(container: Object) -> bool:
    """Is this init container a sidecar, which runs beside the containers until the pod ends?"""
    return container.get("restartPolicy") == "Always"


def _effective(spec: Object, side: str, allocated: dict[str, Amounts]) -> Amounts:
    total: Amounts = {}
    for container in spec.get("containers") or []:
        resources = container.get("resources")
        wanted = amounts(resources.get(side)) if resources else {}
        if allocated and container.get("name") in allocated:
            wanted = _larger(wanted, allocated[container["name"]])
        _add(total, wanted)
    if spec.get("initContainers"):
        total = _with_init_containers(total, spec["initContainers"], side)
    pod_level = (spec.get("resources") or {}).get(side)
    if pod_level:
        total |= amounts(pod_level)
    if spec.get("overhead") and (side == "requests" or total):
        _add(total, amounts(spec["overhead"]))
    return total


def _with_init_containers(total: Amounts, containers: Iterable[Object], side: str) -> Amounts:
    """Init containers run one after another, each beside the sidecars started before it."""
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in containers:
        wanted = amounts((container.get("resources") or {}).get(side))
        if is_restartable_init(container):
            _add(sidecars, wanted)
            peak = _larger(peak, sidecars)
        else:
            together = dict(sidecars)
            _add(together, wanted)
            peak = _larger(peak, together)
    _add(total, sidecars)
    return _larger(total, peak)


def _add(total: Amounts, more: Amounts) -> None:
    for resource, number in more.items():
        total[resource] = total.get(resource, 0) + number


def _larger(left: Amounts, right: Amounts) -> Amounts:
    return {key: max(left.get(key, 0), right.get(key, 0)) for key in {**left, **right}}


def qos_class(pod: Object) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`, from the cpu and memory of all containers (or of the pod
    as a whole).
    """
    spec = pod.get("spec") or {}
    if spec.get("resources"):
        parts = [spec["resources"]]
    else:
        every = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
        parts = [container.get("resources") or {} for container in every]
    requests = [_compute(part.get("requests")) for part in parts]
    limits = [_compute(part.get("limits")) for part in parts]
    if not any(requests) and not any(limits):
        return "BestEffort"
    guaranteed = all(
        len(limit) == 2 and all(request.get(key, limit[key]) == limit[key] for key in limit)
        for request, limit in zip(requests, limits, strict=True)
    )
    return "Guaranteed" if guaranteed else "Burstable"


def _compute(texts: Object | None) -> Amounts:
    return {key: number for key, number in amounts(texts).items() if key in ("cpu", "memory") and number}
