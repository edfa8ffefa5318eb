"""What absent fields of a HorizontalPodAutoscaler (v2) mean."""

from __future__ import annotations

from kubarium.apimachinery.object import Object

_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def fill_defaults(autoscaler: Object) -> None:
    """At least one replica, 80 % CPU."""
    spec = autoscaler.setdefault("spec", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is not None:
        for side, usual in (("scaleUp", _UP), ("scaleDown", _DOWN)):
            given = {key: value for key, value in (behavior.get(side) or {}).items() if value is not None}
            behavior[side] = {**usual, **given}
