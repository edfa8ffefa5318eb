"""PodDisruptionBudget: how many pods of an application may be away by choice.

Source: https://kubernetes.io/docs/tasks/run-application/configure-pdb/
"""

from __future__ import annotations

from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import SPEC, STATUS, FieldError, invalid
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object

EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


def validate(budget: Object) -> list[FieldError]:
    """One of the two bounds, as a count or a share; a selector; a known policy."""
    spec = budget.get("spec") or {}
    found: list[FieldError] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        found.append(invalid(SPEC, spec, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        if spec.get(field) is not None:
            found += rules.share(SPEC / field, spec[field])
            found += rules.at_most_all(SPEC / field, spec[field])
    found += validate_label_selector(spec.get("selector"), SPEC / "selector")
    return found + rules.if_one_of(
        SPEC / "unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"), EVICTION_POLICIES
    )


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Everything may change to something valid."""
    return validate(new)


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """Counts and conditions."""
    status = new.get("status") or {}
    counts = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
    return [
        *rules.conditions(STATUS / "conditions", status.get("conditions") or []),
        *rules.not_negative(status, STATUS, *counts),
    ]
