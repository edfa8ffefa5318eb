"""What a LimitRange makes of pods and claims: fills in amounts, and says what is too little or too much.

Source: https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, metadata_of, spec_of

ANNOTATION = "kubernetes.io/limit-ranger"


def items_of(limit_range: Object, kind: str) -> Iterator[Object]:
    """The limits for `Container`, `Pod` or `PersistentVolumeClaim`."""
    return (item for item in spec_of(limit_range).get("limits") or () if item.get("type") == kind)


def fill_pod(pod: Object, limit_range: Object) -> None:
    """Give containers without requests or limits those of the LimitRange; an annotation says what was set."""
    requests: Object = {}
    limits: Object = {}
    for item in items_of(limit_range, "Container"):
        requests.update(item.get("defaultRequest") or {})
        limits.update(item.get("default") or {})
    notes: list[str] = []
    spec = spec_of(pod)
    for field, word in (("containers", "container"), ("initContainers", "init container")):
        for container in spec.get(field) or ():
            notes += _fill_container(container, word, requests, limits)
    if notes:
        annotations = metadata_of(pod).setdefault("annotations", {})
        annotations[ANNOTATION] = "LimitRanger plugin set: " + "; ".join(notes)


def _fill_container(container: Object, word: str, requests: Object, limits: Object) -> list[str]:
    resources = container.get("resources") or {}
    notes = []
    for side, defaults in (("limits", limits), ("requests", requests)):
        given = resources.get(side) or {}
        missing = {name: amount for name, amount in defaults.items() if name not in given}
        if missing:
            resources[side] = {**given, **missing}
            names = ", ".join(sorted(missing))
            notes.append(f"{names} {side.removesuffix('s')} for {word} {container.get('name')}")
    if resources:
        container["resources"] = resources
    return sorted(notes, key=lambda note: " limit " in note)


def pod_problems(pod: Object, limit_range: Object) -> list[str]:
    """What of a pod breaks the limits."""
    found: list[str] = []
    spec = spec_of(pod)
    for item in items_of(limit_range, "Container"):
        for container in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]:
            resources = container.get("resources") or {}
            found += _problems(item, resources.get("requests") or {}, resources.get("limits") or {})
    for item in items_of(limit_range, "Pod"):
        found += _problems(item, _pod_total(spec, "requests"), _pod_total(spec, "limits"))
    return found


def claim_problems(claim: Object, limit_range: Object) -> list[str]:
    """What of a volume claim breaks the limits."""
    requests = (spec_of(claim).get("resources") or {}).get("requests") or {}
    found: list[str] = []
    for item in items_of(limit_range, "PersistentVolumeClaim"):
        found += _minimum(item, requests, {}) + _maximum_request(item, requests)
    return found


def _pod_total(spec: Object, side: str) -> Object:
    """All containers and sidecars together, or the largest init container."""
    total: Object = {}
    inits = spec.get("initContainers") or ()
    for container in [*(spec.get("containers") or ()), *(one for one in inits if is_restartable_init(one))]:
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            total[name] = quantity.add(total.get(name, "0"), amount)
    for container in inits:
        for name, amount in ((container.get("resources") or {}).get(side) or {}).items():
            if quantity.compare(amount, total.get(name, "0")) > 0:
                total[name] = amount
    return total


def _problems(item: Object, requests: Object, limits: Object) -> list[str]:
    return (
        _minimum(item, requests, limits) + _maximum(item, requests, limits) + _ratio(item, requests, limits)
    )


def _minimum(item: Object, requests: Object, limits: Object) -> list[str]:
    found = []
    for name, bound in sorted((item.get("min") or {}).items()):
        head = f"minimum {name} usage per {item['type']} is {quantity.canonical(bound)}"
        if name not in requests:
            found.append(f"{head}.  No request is specified")
        elif quantity.compare(requests[name], bound) < 0:
            found.append(f"{head}, but request is {quantity.canonical(requests[name])}")
        elif name in limits and quantity.compare(limits[name], bound) < 0:
            found.append(f"{head}, but limit is {quantity.canonical(limits[name])}")
    return found


def _maximum(item: Object, requests: Object, limits: Object) -> list[str]:
    found = []
    for name, bound in sorted((item.get("max") or {}).items()):
        head = f"maximum {name} usage per {item['type']} is {quantity.canonical(bound)}"
        if name not in limits:
            found.append(f"{head}.  No limit is specified")
        elif quantity.compare(limits[name], bound) > 0:
            found.append(f"{head}, but limit is {quantity.canonical(limits[name])}")
        elif name in requests and quantity.compare(requests[name], bound) > 0:
            found.append(f"{head}, but request is {quantity.canonical(requests[name])}")
    return found


def _maximum_request(item: Object, requests: Object) -> list[str]:
    found = []
    for name, bound in sorted((item.get("max") or {}).items()):
        head = f"maximum {name} usage per {item['type']} is {quantity.canonical(bound)}"
        if name not in requests:
            found.append(f"{head}.  No request is specified")
        elif quantity.compare(requests[name], bound) > 0:
            found.append(f"{head}, but request is {quantity.canonical(requests[name])}")
    return found


def _ratio(item: Object, requests: Object, limits: Object) -> list[str]:
    found = []
    for name, bound in sorted((item.get("maxLimitRequestRatio") or {}).items()):
        head = f"{name} max limit to request ratio per {item['type']} is {quantity.canonical(bound)}"
        request = quantity.milli_value(requests.get(name, "0"))
        limit = quantity.milli_value(limits.get(name, "0"))
        if not request:
            found.append(f"{head}, but no request is specified or request is 0")
        elif not limit:
            found.append(f"{head}, but no limit is specified or limit is 0")
        elif limit / request > quantity.milli_value(bound) / 1000:
            found.append(f"{head}, but provided ratio is {limit / request:.6f}")
    return found
