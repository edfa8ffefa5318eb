"""Taints of nodes: which there are, and what a node's conditions say there should be.

Source: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from kubarium.api.core.pod import affinity
from kubarium.apimachinery import conditions, time
from kubarium.apimachinery.object import Object, spec_of, status_of

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
DISK_PRESSURE = "node.kubernetes.io/disk-pressure"
PID_PRESSURE = "node.kubernetes.io/pid-pressure"
NETWORK_UNAVAILABLE = "node.kubernetes.io/network-unavailable"
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"

NO_SCHEDULE = "NoSchedule"
NO_EXECUTE = "NoExecute"

BY_CONDITION = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): MEMORY_PRESSURE,
    ("DiskPressure", "True"): DISK_PRESSURE,
    ("NetworkUnavailable", "True"): NETWORK_UNAVAILABLE,
    ("PIDPressure", "True"): PID_PRESSURE,
}
"""A node with this condition is tainted `NoSchedule` under this key."""

MANAGED_KEYS = frozenset({*BY_CONDITION.values(), UNSCHEDULABLE})


def of_text(text: str) -> Object:
    """`key=value:Effect` -> a taint."""
    head, _, effect = text.rpartition(":")
    key, _, value = head.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}


def taints_of(node: Object) -> list[Object]:
    """The node's taints."""
    return spec_of(node).get("taints") or []


def no_execute(node: Object) -> list[Object]:
    """Those that drive pods away."""
    return [taint for taint in taints_of(node) if taint.get("effect") == NO_EXECUTE]


def has(node: Object, key: str, effect: str) -> bool:
    """Is there such a taint?"""
    return any((taint.get("key"), taint.get("effect")) == (key, effect) for taint in taints_of(node))


def by_conditions(node: Object) -> set[str]:
    """The keys of the `NoSchedule` taints that follow from conditions and `spec.unschedulable`."""
    found = {
        BY_CONDITION[pair]
        for condition in status_of(node).get("conditions") or []
        if (pair := (condition.get("type"), condition.get("status"))) in BY_CONDITION
    }
    if spec_of(node).get("unschedulable"):
        found.add(UNSCHEDULABLE)
    return found


def with_no_schedule(node: Object, keys: Iterable[str], now: datetime) -> list[Object]:
    """The taints, with exactly these `NoSchedule` taints among those that conditions decide about."""
    wanted = set(keys)
    kept = [
        t
        for t in taints_of(node)
        if t.get("effect") != NO_SCHEDULE or t.get("key") not in MANAGED_KEYS - wanted
    ]
    present = {taint.get("key") for taint in kept if taint.get("effect") == NO_SCHEDULE}
    added = [_new(key, NO_SCHEDULE, now) for key in sorted(wanted - present)]
    return [*kept, *added]


def with_no_execute(node: Object, key: str | None, now: datetime) -> list[Object]:
    """The taints, with only this one of not-ready and unreachable as `NoExecute`; None: with neither."""
    rest = [
        taint
        for taint in taints_of(node)
        if taint.get("effect") != NO_EXECUTE or taint.get("key") not in {NOT_READY, UNREACHABLE} - {key}
    ]
    if key is None or any((t.get("key"), t.get("effect")) == (key, NO_EXECUTE) for t in rest):
        return rest
    return [*rest, _new(key, NO_EXECUTE, now)]


def ready_status(node: Object) -> str:
    """True, False or Unknown."""
    ready = conditions.find(status_of(node).get("conditions"), "Ready")
    return (ready or {}).get("status") or "Unknown"


def patience(pod: Object, taints: Iterable[Object]) -> float | None:
    """How many seconds the pod may stay under these NoExecute taints: 0 is none, None is for ever."""
    shortest: float | None = None
    for taint in taints:
        matching = [one for one in affinity.tolerations_of(pod) if affinity.tolerates(one, taint)]
        if not matching:
            return 0.0
        for toleration in matching:
            seconds = toleration.get("tolerationSeconds")
            if seconds is not None:
                limit = max(0.0, float(seconds))
                shortest = limit if shortest is None else min(shortest, limit)
    return shortest


def _new(key: str, effect: str, now: datetime) -> Object:
    return {"key": key, "effect": effect, "timeAdded": time.format_time(now)}
