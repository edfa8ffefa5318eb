"""Node: what makes one invalid, and what of it may change.

Source: https://kubernetes.io/docs/concepts/architecture/nodes/
"""

from __future__ import annotations

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    METADATA,
    ROOT,
    SPEC,
    STATUS,
    FieldError,
    FieldPath,
    InOrder,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, copy

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MAY_CHANGE = (
    "node updates may only change labels, taints, or capacity "
    "(or configSource, if the DynamicKubeletConfig feature gate is enabled)"
)


def fill_defaults(node: Object) -> None:
    """The first pod range stands alone too; all that there is can be given away, unless it is said otherwise."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    ranges, first = spec.get("podCIDRs") or [], spec.get("podCIDR") or ""
    if first and (not ranges or ranges[0] != first):
        spec["podCIDRs"] = [first]
    elif ranges and not first and ranges[0]:
        spec["podCIDR"] = ranges[0]
    if status.get("capacity") is not None and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def validate(node: Object) -> list[FieldError]:
    """Taints, pod ranges, amounts. Taints are told of as if they were metadata, as upstream does."""
    spec, status = node.get("spec") or {}, node.get("status") or {}
    found = validate_taints(spec.get("taints") or [], METADATA / "taints")
    ranges = spec.get("podCIDRs") or []
    for index, text in enumerate(ranges):
        found += rules.address_block(SPEC / "podCIDRs" % index, text or "")
    if len(ranges) > 2 or (len(ranges) == 2 and len({rules.family_of(text) for text in ranges}) < 2):
        why = "may specify no more than one CIDR for each IP family"
        found.append(invalid(SPEC / "podCIDRs", ranges, why))
        found += rules.unique(SPEC / "podCIDRs", ranges)
    for part in ("capacity", "allocatable"):
        for name, amount in (status.get(part) or {}).items():
            found += rules.amount_of(STATUS / part / name, name, amount)
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Addresses stand once; ranges and provider id are given once; of the rest only cordon and taints change."""
    found = validate(new)
    seen: set[tuple[str, str]] = set()
    for index, address in enumerate((new.get("status") or {}).get("addresses") or []):
        key = (address.get("type") or "", address.get("address") or "")
        if key in seen:
            found.append(duplicate(STATUS / "addresses" % index, address))
        seen.add(key)
    after, before = copy(new.get("spec") or {}), copy(old.get("spec") or {})
    if before.get("podCIDRs") and after.get("podCIDRs") != before["podCIDRs"]:
        why = 'node updates may not change podCIDR except from "" to valid'
        found.append(forbidden(SPEC / "podCIDRs", why))
    if before.get("providerID") and after.get("providerID") != before["providerID"]:
        why = 'node updates may not change providerID except from "" to valid'
        found.append(forbidden(SPEC / "providerID", why))
    for spec in (after, before):
        for field in ("podCIDR", "podCIDRs", "providerID", "unschedulable", "taints", "configSource"):
            spec.pop(field, None)
    if after != before:
        found.append(forbidden(ROOT, _MAY_CHANGE))
    return found


def validate_taints(taints: list[Object], path: FieldPath) -> list[FieldError]:
    """Keys, values and effects; no pair of key and effect twice."""
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        at = path % index
        key, effect, value = taint.get("key") or "", taint.get("effect") or "", taint.get("value") or ""
        found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
        found += [invalid(at / "value", value, text) for text in names.label_value_errors(value)]
        if not effect:
            found.append(required(at / "effect"))
        elif effect not in EFFECTS:
            found.append(not_supported(at / "effect", effect, EFFECTS))
        if (key, effect) in seen:
            twice = duplicate(at, _shown_taint(taint))
            text = f"{twice.body}: taints must be unique by key and effect pair"
            found.append(FieldError(twice.type, twice.path, text))
        seen.add((key, effect))
    return found


def _shown_taint(taint: Object) -> InOrder:
    """A taint as messages show it: by the names of the internal type."""
    shown = {"Key": "key", "Value": "value", "Effect": "effect"}
    return InOrder(
        {name: taint.get(key) or "" for name, key in shown.items()}, TimeAdded=taint.get("timeAdded")
    )
