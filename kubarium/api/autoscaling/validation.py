"""What makes a HorizontalPodAutoscaler (v2) invalid."""

from __future__ import annotations

from kubarium.api.core.pod.container_validation import container_name_errors
from kubarium.apimachinery import names, quantity, rules
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, spec_of

SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
TARGETS = ("AverageValue", "Utilization", "Value")
MAX_WINDOW, MAX_PERIOD = 3600, 1800  # seconds


def validate(autoscaler: Object) -> list[FieldError]:
    """Bounds in order, a target, metrics with one source each, rules of behavior."""
    spec = spec_of(autoscaler)
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    found: list[FieldError] = []
    if least is not None and least < 1:
        found.append(invalid(SPEC / "minReplicas", least, "must be greater than or equal to 1"))
    if most < 1:
        found.append(invalid(SPEC / "maxReplicas", most, "must be greater than 0"))
    if least is not None and most < least:
        why = "must be greater than or equal to `minReplicas`"
        found.append(invalid(SPEC / "maxReplicas", most, why))
    found += _reference(spec.get("scaleTargetRef") or {}, SPEC / "scaleTargetRef")
    for index, metric in enumerate(spec.get("metrics") or []):
        found += _metric(metric, SPEC / "metrics" % index)
    for side in ("scaleUp", "scaleDown"):
        scaling = (spec.get("behavior") or {}).get(side)
        if scaling is not None:
            found += _scaling_rules(scaling, SPEC / "behavior" / side)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """Counts of replicas."""
    counts = ("currentReplicas", "desiredReplicas")
    return rules.not_negative(new.get("status") or {}, FieldPath("status"), *counts)


def _reference(reference: Object, path: FieldPath) -> list[FieldError]:
    return [
        *rules.named(path / "kind", reference.get("kind"), names.path_segment_errors),
        *rules.named(path / "name", reference.get("name"), names.path_segment_errors),
    ]


def _metric(metric: Object, path: FieldPath) -> list[FieldError]:
    kind = metric.get("type") or ""
    found: list[FieldError] = []
    if not kind:
        found.append(required(path / "type", "must specify a metric source type"))
    if kind not in SOURCES:  # upstream says so twice
        return [*found, *[not_supported(path / "type", kind, sorted(SOURCES))] * 2]
    for field in sorted(SOURCES.values()):
        if metric.get(field) is None:
            continue
        if field != SOURCES[kind]:
            found.append(forbidden(path / field, "must populate the given metric source only"))
        else:
            found += _CHECKS[field](metric[field], path / field)
    if metric.get(SOURCES[kind]) is None:
        why = "must populate information for the given metric source"
        found.append(required(path / SOURCES[kind], why))
    return found


def _resource(source: Object, path: FieldPath) -> list[FieldError]:
    found = [] if source.get("name") else [required(path / "name", "must specify a resource name")]
    target = source.get("target") or {}
    found += _target(target, path / "target")
    share, value = target.get("averageUtilization"), target.get("averageValue")
    if share is not None and value is not None:
        why = "may not set both a target raw value and a target utilization"
        found.append(forbidden(path / "target" / "averageValue", why))
    elif share is None and value is None:
        why = "must set either a target raw value or a target utilization"
        found.append(required(path / "target" / "averageUtilization", why))
    return found


def _container_resource(source: Object, path: FieldPath) -> list[FieldError]:
    name, container = source.get("name"), source.get("container")
    found = container_name_errors(name, path / "name") if name else []
    if not container:
        found.append(required(path / "container", "must specify a container"))
    found += rules.if_named(path / "container", container, names.dns_label_errors)
    return found + _resource(source, path)


def _pods(source: Object, path: FieldPath) -> list[FieldError]:
    found = _identifier(source.get("metric") or {}, path / "metric")
    target = source.get("target") or {}
    found += _target(target, path / "target")
    if target.get("averageValue") is None:
        why = "must specify a positive target averageValue"
        found.append(required(path / "target" / "averageValue", why))
    return found


def _object(source: Object, path: FieldPath) -> list[FieldError]:
    found = _reference(source.get("describedObject") or {}, path / "describedObject")
    found += _identifier(source.get("metric") or {}, path / "metric")
    target = source.get("target") or {}
    found += _target(target, path / "target")
    if target.get("value") is None and target.get("averageValue") is None:
        why = "must set either a target value or averageValue"
        found.append(required(path / "target" / "averageValue", why))
    return found


def _external(source: Object, path: FieldPath) -> list[FieldError]:
    found = _identifier(source.get("metric") or {}, path / "metric")
    target = source.get("target") or {}
    found += _target(target, path / "target")
    value, average = target.get("value"), target.get("averageValue")
    if value is None and average is None:
        why = "must set either a target value for metric or a per-pod target"
        found.append(required(path / "target" / "averageValue", why))
    elif value is not None and average is not None:
        why = "may not set both a target value for metric and a per-pod target"
        found.append(forbidden(path / "target" / "value", why))
    return found


_CHECKS = {
    "resource": _resource,
    "containerResource": _container_resource,
    "pods": _pods,
    "object": _object,
    "external": _external,
}


def _identifier(metric: Object, path: FieldPath) -> list[FieldError]:
    name = metric.get("name")
    found = [] if name else [required(path / "name", "must specify a metric name")]
    if name:
        found += [invalid(path / "name", name, text) for text in names.path_segment_errors(name)]
    return found


def _target(target: Object, path: FieldPath) -> list[FieldError]:
    kind = target.get("type") or ""
    found: list[FieldError] = []
    if not kind:
        found.append(required(path / "type", "must specify a metric target type"))
    if kind not in TARGETS:
        found.append(invalid(path / "type", kind, "must be either Utilization, Value, or AverageValue"))
    for field in ("value", "averageValue"):
        amount = target.get(field)
        if amount is not None and quantity.compare(amount, 0) <= 0:
            found.append(invalid(path / field, amount, "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        found.append(invalid(path / "averageUtilization", share, "must be greater than 0"))
    return found


def _scaling_rules(scaling: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    window = scaling.get("stabilizationWindowSeconds")
    at = path / "stabilizationWindowSeconds"
    if window is not None and window < 0:
        found.append(invalid(at, window, "must be greater than or equal to zero"))
    elif window is not None and window > MAX_WINDOW:
        found.append(invalid(at, window, f"must be less than or equal to {MAX_WINDOW}"))
    found += rules.if_one_of(path / "selectPolicy", scaling.get("selectPolicy"), ("Disabled", "Max", "Min"))
    policies = scaling.get("policies") or []
    if not policies:
        found.append(required(path / "policies", "must specify at least one Policy"))
    for index, policy in enumerate(policies):
        found += _scaling_policy(policy, path / "policies" % index)
    if scaling.get("tolerance") is not None:
        found += rules.amount_not_negative(path / "tolerance", scaling["tolerance"])
    return found


def _scaling_policy(policy: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if policy.get("type") not in ("Percent", "Pods"):
        found.append(not_supported(path / "type", policy.get("type") or "", ("Percent", "Pods")))
    for field in ("value", "periodSeconds"):
        if (policy.get(field) or 0) <= 0:
            found.append(invalid(path / field, policy.get(field) or 0, "must be greater than zero"))
    if (policy.get("periodSeconds") or 0) > MAX_PERIOD:
        why = f"must be less than or equal to {MAX_PERIOD}"
        found.append(invalid(path / "periodSeconds", policy["periodSeconds"], why))
    return found
