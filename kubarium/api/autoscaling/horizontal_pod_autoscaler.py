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

DEFAULT_UP: Object = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
DEFAULT_DOWN: Object = {
    "selectPolicy": "Max",
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


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


def replicas_for_ratio(
    current: int,
    ratio: float,
    grouped: Grouped,
    ratio_with: RatioWith,
    tolerances: tuple[float, float],
) -> int:
    """New replicas from the usage ratio; missing and starting pods are counted against the change."""
    scale_up_with_unready = bool(grouped.unready) and ratio > 1.0
    if not scale_up_with_unready and not grouped.missing:
        return current if within(ratio, tolerances) else math.ceil(ratio * grouped.ready)
    padded, count = ratio_with(ratio, scale_up_with_unready)
    crossed = (ratio < 1.0 < padded) or (padded < 1.0 < ratio)
    if within(padded, tolerances) or crossed:
        return current
    wanted = math.ceil(padded * count)
    if (padded < 1.0 and wanted > current) or (padded > 1.0 and wanted < current):
        return current
    return wanted


class RatioWith:
    """The ratio once more, with assumptions about pods that have no trustworthy metrics."""

    def __init__(
        self, samples: Mapping[str, int], target: float, weights: Mapping[str, int] | None, grouped: Grouped
    ) -> None:
        self._samples, self._target, self._weights, self._grouped = dict(samples), target, weights, grouped

    def __call__(self, ratio: float, with_unready: bool) -> tuple[float, int]:
        """Missing pods use all they may when shrinking, nothing when growing; starting ones use nothing."""
        filled = dict(self._samples)
        for name in self._grouped.missing:
            filled[name] = self._full(name) if ratio < 1.0 else 0
        if with_unready:
            filled |= dict.fromkeys(self._grouped.unready, 0)
        return usage_ratio(filled, self._target, self._weights), len(filled)

    def _full(self, name: str) -> int:
        """All that a pod may use without asking for another one."""
        if self._weights is None:
            return int(self._target)
        return int(self._weights.get(name, 0) * max(100.0, self._target) / 100)


def usage_ratio(samples: Mapping[str, int], target: float, weights: Mapping[str, int] | None) -> float:
    """Usage over target: an average per pod, or with `weights` a percentage of what pods ask for."""
    if not samples:
        raise NoMetrics("no metrics returned matched known pods")
    if weights is None:
        return sum(samples.values()) / len(samples) / target if target else 0.0
    requested = sum(weights[name] for name in samples if name in weights)
    if not requested:
        raise NoMetrics("no metrics returned matched known pods")
    return (sum(samples.values()) * 100 / requested) / target


# ---- behavior


def rules(autoscaler: Object, side: str, default_window: float) -> tuple[Object, float]:
    """The scaling rules of one direction and their stabilisation window in seconds."""
    given = (spec_of(autoscaler).get("behavior") or {}).get(side) or {}
    default = DEFAULT_UP if side == "scaleUp" else DEFAULT_DOWN
    found = {**default, **{key: value for key, value in given.items() if value is not None}}
    window = found.get("stabilizationWindowSeconds")
    return found, default_window if window is None else float(window)


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
