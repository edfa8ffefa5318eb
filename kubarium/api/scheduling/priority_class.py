"""PriorityClass: a name for a number."""

from __future__ import annotations

from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import METADATA, ROOT, FieldError, forbidden, immutable
from kubarium.apimachinery.object import Object, name_of

HIGHEST_USER = 1_000_000_000
SYSTEM_CLUSTER_CRITICAL, SYSTEM_NODE_CRITICAL = "system-cluster-critical", "system-node-critical"
SYSTEM = {SYSTEM_CLUSTER_CRITICAL: 2_000_000_000, SYSTEM_NODE_CRITICAL: 2_000_001_000}


def fill_defaults(priority_class: Object) -> None:
    """It may take the place of others."""
    if priority_class.get("preemptionPolicy") is None:
        priority_class["preemptionPolicy"] = "PreemptLowerPriority"


def validate(priority_class: Object) -> list[FieldError]:
    """System names and system numbers are the system's; a known policy."""
    return [
        *_reserved(priority_class),
        *rules.one_of(
            ROOT / "preemptionPolicy", priority_class.get("preemptionPolicy"), _POLICIES, in_order=True
        ),
    ]


_POLICIES = ("PreemptLowerPriority", "Never")


def _reserved(priority_class: Object) -> list[FieldError]:
    name, value = name_of(priority_class), priority_class.get("value") or 0
    if name.startswith("system-"):
        if SYSTEM.get(name) != value:
            why = "priority class names with 'system-' prefix are reserved for system use only. error: "
            return [forbidden(METADATA / "name", why + f"{name} is not a known system priority class")]
        return []
    if value > HIGHEST_USER:
        return [
            forbidden(ROOT / "value", f"maximum allowed value of a user defined priority is {HIGHEST_USER}")
        ]
    return []


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """The number stays."""
    found: list[FieldError] = []
    if (new.get("value") or 0) != (old.get("value") or 0):
        found.append(forbidden(ROOT / "value", "may not be changed in an update."))
    return [
        *found,
        *immutable(ROOT / "preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy")),
    ]
