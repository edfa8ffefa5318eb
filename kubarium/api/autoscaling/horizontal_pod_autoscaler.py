"""`HorizontalPodAutoscaler`: bounds, behavior, and the arithmetic of replicas from metrics.

Source: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import quantity, time
from kubarium.apimachinery.object import Object, is_deleting, name_of, spec_of, status_of


@dataclass(frozen=True)
class Settings:
    """The cluster's own settings for all autoscalers."""

    tolerance: float = 0.1
    cpu_initialization: float = 300.0  # seconds
    readiness_delay: float = 30.0  # seconds
    downscale_stabilization: float = 300.0  # seconds


@dataclass(frozen=True)
class Sample:
    """One pod's usage, in thousandths."""

    value: int
    moment: datetime
    window: timedelta = timedelta(seconds=60)


class NoMetrics(Exception):
    """The metrics do not allow a decision."""


def bounds_of(autoscaler: Object) -> tuple[int, int]:
    """The least and the most replicas."""
    least = spec_of(autoscaler).get("minReplicas")
    return (1 if least is None else int(least)), int(spec_of(autoscaler).get("maxReplicas") or 1)


def tolerances_of(autoscaler: Object, default: float) -> tuple[float, float]:
    """How much the ratio may be below and above one before anything happens."""
    behavior = spec_of(autoscaler).get("behavior") or {}

    def of(side: str) -> float:
        given = (behavior.get(side) or {}).get("tolerance")
        return default if given is None else quantity.parse(given).as_float()

    return of("scaleDown"), of("scaleUp")


def within(ratio: float, tolerances: tuple[float, float]) -> bool:
    """Is the ratio close enough to one?"""
    return 1.0 - tolerances[0] <= ratio <= 1.0 + tolerances[1]


@dataclass(frozen=True)
class Grouped:
    """Pods by how much their metrics can be trusted."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def group_pods(
    pods: Iterable[Object], samples: Mapping[str, Sample], resource: str, settings: Settings, now: datetime
) -> Grouped:
    """Starting pods burn CPU that says nothing; failed and leaving ones do not count at all."""
    ready, unready, missing, ignored = 0, set(), set(), set()
    for pod in pods:
        name = name_of(pod)
        if is_deleting(pod) or pod_status.phase_of(pod) == pod_status.FAILED:
            ignored.add(name)
        elif pod_status.phase_of(pod) == pod_status.PENDING:
            unready.add(name)
        elif name not in samples:
            missing.add(name)
        elif resource == "cpu" and _is_starting(pod, samples[name], settings, now):
            unready.add(name)
        else:
            ready += 1
    return Grouped(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(pod: Object, sample: Sample, settings: Settings, now: datetime) -> bool:
    condition = pod_status.condition(pod, pod_status.READY)
    started = status_of(pod).get("startTime")
    if condition is None or not started:
        return True
    start = time.parse_time(started)
    moved = time.parse_time(condition.get("lastTransitionTime") or started)
    if start + timedelta(seconds=settings.cpu_initialization) > now:
        return bool(condition.get("status") == "False" or sample.moment < moved + sample.window)
    return bool(
        condition.get("status") == "False" and start + timedelta(seconds=settings.readiness_delay) > moved
    )


@dataclass(frozen=True)
class Weighed:
    """What samples ask for, and what they say of the pods. `percentage` is of what the pods ask for."""

    replicas: int
    average: int  # thousandths
    percentage: int = 0


def weigh(
    current: int,
    used: Mapping[str, int],
    target: float,
    requests: Mapping[str, int] | None,
    grouped: Grouped,
    tolerances: tuple[float, float],
) -> Weighed:
    """New replicas from the usage ratio; missing and starting pods are counted against the change.

    `target` is an average per pod, or with `requests` a percentage of what pods ask for.
    """
    percentage, ratio = _ratio(used, target, requests)
    counted = used if requests is None else {n: v for n, v in used.items() if n in requests}
    average = sum(counted.values()) // len(counted)

    def answer(replicas: int) -> Weighed:
        return Weighed(replicas, average, percentage)

    grows_past_unready = bool(grouped.unready) and ratio > 1.0
    if not grows_past_unready and not grouped.missing:
        return answer(current if within(ratio, tolerances) else math.ceil(ratio * grouped.ready))
    filled = dict(used)
    for name in grouped.missing:  # they use all they may when shrinking, nothing when growing
        filled[name] = _full(name, target, requests) if ratio < 1.0 else 0
    if grows_past_unready:
        filled |= dict.fromkeys(grouped.unready, 0)
    _, padded = _ratio(filled, target, requests)
    crossed = (ratio < 1.0 < padded) or (padded < 1.0 < ratio)
    if within(padded, tolerances) or crossed:
        return answer(current)
    wanted = math.ceil(padded * len(filled))
    if (padded < 1.0 and wanted > current) or (padded > 1.0 and wanted < current):
        return answer(current)
    return answer(wanted)


def _full(name: str, target: float, requests: Mapping[str, int] | None) -> int:
    """All that a pod may use without asking for another one."""
    if requests is None:
        return int(target)
    return int(requests.get(name, 0) * max(100.0, target) / 100)


def _ratio(
    samples: Mapping[str, int], target: float, requests: Mapping[str, int] | None
) -> tuple[int, float]:
    """Usage in whole units of the target, and that over the target. Raises NoMetrics."""
    if requests is None:
        usage = sum(samples.values()) // len(samples)
        return usage, usage / target if target else 0.0
    known = {name: value for name, value in samples.items() if name in requests}
    requested = sum(requests[name] for name in known)
    if not requested:
        raise NoMetrics("no metrics returned matched known pods")
    percentage = sum(known.values()) * 100 // requested
    return percentage, percentage / target


# ---- behavior


def rules(autoscaler: Object, side: str) -> Object | None:
    """The scaling rules of one direction; None: nobody asked for a behavior of this autoscaler's own."""
    behavior = spec_of(autoscaler).get("behavior")
    return None if behavior is None else behavior.get(side) or {}


def window_of(rules: Object, default: float) -> float:
    """For how many seconds a recommendation counts."""
    window = rules.get("stabilizationWindowSeconds")
    return default if window is None else float(window)


def plain_limit_up(current: int) -> int:
    """The most replicas after one step, without a behavior."""
    return max(2 * current, 4)


def limit_up(
    found: Object, current: int, added: Sequence[tuple[float, int]], removed: Sequence[tuple[float, int]]
) -> int:
    """The most replicas that the policies allow now. Lists hold (seconds ago, how many)."""
    if found.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in found.get("policies") or []:
        start = current - _within(added, policy) + _within(removed, policy)
        if policy["type"] == "Pods":
            limits.append(start + policy["value"])
        else:
            limits.append(math.ceil(start * (1 + policy["value"] / 100)))
    return (min if found.get("selectPolicy") == "Min" else max)(limits, default=2**31 - 1)


def limit_down(
    found: Object, current: int, added: Sequence[tuple[float, int]], removed: Sequence[tuple[float, int]]
) -> int:
    """The fewest replicas that the policies allow now."""
    if found.get("selectPolicy") == "Disabled":
        return current
    limits = []
    for policy in found.get("policies") or []:
        start = current - _within(added, policy) + _within(removed, policy)
        if policy["type"] == "Pods":
            limits.append(start - policy["value"])
        else:
            limits.append(int(start * (1 - policy["value"] / 100)))
    return (max if found.get("selectPolicy") == "Min" else min)(limits, default=0)


def _within(changes: Sequence[tuple[float, int]], policy: Object) -> int:
    return sum(count for ago, count in changes if ago <= policy["periodSeconds"])
