"""Horizontal pod autoscalers, which v1 and v2 show in two forms; kept as v2."""

from __future__ import annotations

import orjson

from apiserver.registry.strategy import of_noun
from kubarium.api.autoscaling import defaults, validation
from kubarium.apimachinery.object import Object, copy

STRATEGY = of_noun(defaults, validation, initial_status={"desiredReplicas": 0, "currentMetrics": None})

_METRICS = "autoscaling.alpha.kubernetes.io/metrics"
_CURRENT = "autoscaling.alpha.kubernetes.io/current-metrics"
_CONDITIONS = "autoscaling.alpha.kubernetes.io/conditions"
_BEHAVIOR = "autoscaling.alpha.kubernetes.io/behavior"


def to_v2(autoscaler: Object) -> Object:
    """v1 -> v2: the one number becomes a metric, annotations become the fields that v1 lacks."""
    changed = copy(autoscaler) | {"apiVersion": "autoscaling/v2"}
    annotations = _take_annotations(changed)
    spec = changed.setdefault("spec", {})
    percent = spec.pop("targetCPUUtilizationPercentage", None)
    metrics = _decoded(annotations.get(_METRICS)) or []
    if percent is not None:
        metrics.insert(0, _cpu_metric("target", {"type": "Utilization", "averageUtilization": percent}))
    if metrics:
        spec["metrics"] = metrics
    if annotations.get(_BEHAVIOR):
        spec["behavior"] = _decoded(annotations[_BEHAVIOR])
    status = changed.get("status")
    if status is not None:
        current = _decoded(annotations.get(_CURRENT)) or []
        percent = status.pop("currentCPUUtilizationPercentage", None)
        if percent is not None and not current:
            current.insert(0, _cpu_metric("current", {"averageUtilization": percent, "averageValue": "0"}))
        if current:
            status["currentMetrics"] = current
        if annotations.get(_CONDITIONS):
            status["conditions"] = _decoded(annotations[_CONDITIONS])
    return changed


def from_v2(autoscaler: Object) -> Object:
    """v2 -> v1."""
    changed = copy(autoscaler) | {"apiVersion": "autoscaling/v1"}
    annotations: dict[str, str] = {}
    spec = changed.setdefault("spec", {})
    metrics = spec.pop("metrics", None) or []
    percent = next(
        (value for metric in metrics if (value := _cpu_percent(metric, "target")) is not None), None
    )
    others = [metric for metric in metrics if _cpu_percent(metric, "target") is None or percent is None]
    if percent is not None:
        spec["targetCPUUtilizationPercentage"] = percent
    if others:
        annotations[_METRICS] = _encoded(others)
    if behavior := spec.pop("behavior", None):
        annotations[_BEHAVIOR] = _encoded(behavior)
    status = changed.setdefault("status", {})
    status |= {field: status.get(field) or 0 for field in ("currentReplicas", "desiredReplicas")}
    current = status.pop("currentMetrics", None) or []
    seen = next((value for metric in current if (value := _cpu_percent(metric, "current")) is not None), None)
    if seen is not None:
        status["currentCPUUtilizationPercentage"] = seen
    if current:
        annotations[_CURRENT] = _encoded(current)
    if conditions := status.pop("conditions", None):
        annotations[_CONDITIONS] = _encoded(conditions)
    if annotations:
        metadata = changed["metadata"]
        metadata["annotations"] = (metadata.get("annotations") or {}) | annotations
    return changed


def _cpu_metric(side: str, value: Object) -> Object:
    return {"type": "Resource", "resource": {"name": "cpu", side: value}}


def _cpu_percent(metric: Object, side: str) -> int | None:
    resource = metric.get("resource") or {}
    if metric.get("type") != "Resource" or resource.get("name") != "cpu":
        return None
    found: int | None = (resource.get(side) or {}).get("averageUtilization")
    return found


def _take_annotations(changed: Object) -> dict[str, str]:
    metadata = changed.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    taken = {
        name: annotations.pop(name)
        for name in (_METRICS, _CURRENT, _CONDITIONS, _BEHAVIOR)
        if name in annotations
    }
    if taken and not annotations:
        metadata.pop("annotations", None)
    return taken


def _decoded(text: str | None) -> list[Object]:
    """What such an annotation holds; nothing if somebody wrote nonsense into it."""
    try:
        return orjson.loads(text) if text else []
    except orjson.JSONDecodeError:
        return []


def _encoded(value: object) -> str:
    return orjson.dumps(value).decode()
