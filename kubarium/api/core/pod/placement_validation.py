"""What makes a pod's wishes for its place invalid: tolerations, affinity, spread constraints."""

from __future__ import annotations

from kubarium.api.core import node_selector
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_label_selector
from kubarium.apimachinery.object import Object

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_tolerations(tolerations: list[Object], path: FieldPath) -> list[FieldError]:
    """Keys, operators and effects that fit together."""
    found: list[FieldError] = []
    for index, toleration in enumerate(tolerations):
        at = path % index
        key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
        effect, value = toleration.get("effect") or "", toleration.get("value") or ""
        if key:
            found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
        elif operator != "Exists":
            what = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid(at / "operator", toleration.get("operator") or "", what))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            found.append(
                invalid(at / "effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
            )
        if operator == "Exists" and value:
            found.append(invalid(at / "operator", value, "value must be empty when `operator` is 'Exists'"))
        elif operator == "Equal":
            found += [invalid(at / "operator", value, text) for text in names.label_value_errors(value)]
        elif operator not in ("Exists", "Equal", "Lt", "Gt"):
            found.append(not_supported(at / "operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            found.append(not_supported(at / "effect", effect, _EFFECTS))
    return found


def validate_affinity(affinity: Object, path: FieldPath) -> list[FieldError]:
    """Terms that are whole and weights between 1 and 100."""
    found: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    hard = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if hard is not None:
        at = path / "nodeAffinity" / "requiredDuringSchedulingIgnoredDuringExecution"
        found += node_selector.validate(hard, at)
    for index, preference in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
        at = path / "nodeAffinity" / "preferredDuringSchedulingIgnoredDuringExecution" % index
        found += _validate_weight(preference, at)
        found += node_selector.validate_term(preference.get("preference") or {}, at / "preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        for index, term in enumerate(part.get("requiredDuringSchedulingIgnoredDuringExecution") or []):
            at = path / kind / "requiredDuringSchedulingIgnoredDuringExecution" % index
            found += _validate_pod_term(term, at)
        for index, weighted in enumerate(part.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
            at = path / kind / "preferredDuringSchedulingIgnoredDuringExecution" % index
            found += _validate_weight(weighted, at)
            found += _validate_pod_term(weighted.get("podAffinityTerm") or {}, at / "podAffinityTerm")
    return found


def _validate_weight(weighted: Object, path: FieldPath) -> list[FieldError]:
    weight = weighted.get("weight") or 0
    return [] if 1 <= weight <= 100 else [invalid(path / "weight", weight, "must be in the range 1-100")]


def _validate_pod_term(term: Object, path: FieldPath) -> list[FieldError]:
    found = [
        *validate_label_selector(term.get("labelSelector"), path / "labelSelector"),
        *validate_label_selector(term.get("namespaceSelector"), path / "namespaceSelector"),
    ]
    for name in term.get("namespaces") or []:  # upstream names the field so
        found += [
            invalid(path / "namespace", name or "", text) for text in names.dns_label_errors(name or "")
        ]
    found += _label_keys(term, path)
    key = term.get("topologyKey") or ""
    if not key:
        found.append(required(path / "topologyKey", "can not be empty"))
    return found + [invalid(path / "topologyKey", key, text) for text in names.qualified_name_errors(key)]


def validate_spread(constraints: list[Object], path: FieldPath) -> list[FieldError]:
    """Positive skews, a key, a known action; no pair of key and action twice."""
    found: list[FieldError] = []
    pairs = [(one.get("topologyKey") or "", one.get("whenUnsatisfiable") or "") for one in constraints]
    for index, constraint in enumerate(constraints):
        at = path % index
        if (constraint.get("maxSkew") or 0) <= 0:
            found.append(invalid(at / "maxSkew", constraint.get("maxSkew") or 0, "must be greater than zero"))
        key = constraint.get("topologyKey") or ""
        if not key:
            found.append(required(at / "topologyKey", "can not be empty"))
        action = constraint.get("whenUnsatisfiable") or ""
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            found.append(not_supported(at / "whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if (key, action) in pairs[index + 1 :]:
            found.append(duplicate(at / "{topologyKey, whenUnsatisfiable}", f"{{{key}, {action}}}"))
        minimum = constraint.get("minDomains")
        if minimum is not None and minimum <= 0:
            found.append(invalid(at / "minDomains", minimum, "must be greater than zero"))
        elif minimum is not None and action == "ScheduleAnyway":
            why = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
            found.append(invalid(at / "minDomains", minimum, why))
        found += validate_label_selector(constraint.get("labelSelector"), at / "labelSelector")
        for field in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            found += rules.if_one_of(at / field, constraint.get(field), ("Honor", "Ignore"))
        found += _label_keys(constraint, at)
    return found


def _label_keys(wish: Object, path: FieldPath) -> list[FieldError]:
    """Keys whose values are taken from the pod itself; what they say is in the selector already."""
    selector = wish.get("labelSelector")
    keys, others = wish.get("matchLabelKeys") or [], wish.get("mismatchLabelKeys") or []
    found = [
        *_names_of_labels(keys, selector, path / "matchLabelKeys"),
        *_names_of_labels(others, selector, path / "mismatchLabelKeys"),
    ]
    seen = set((selector or {}).get("matchLabels") or ())
    for expression in (selector or {}).get("matchExpressions") or ():
        key = expression.get("key") or ""
        if key in keys and key in seen:
            why = "exists in both matchLabelKeys and labelSelector"
            found.append(invalid(path % keys.index(key), key, why))
        seen.add(key)
    why = "exists in both matchLabelKeys and mismatchLabelKeys"
    at = path / "matchLabelKeys"
    return found + [invalid(at % index, key, why) for index, key in enumerate(keys) if key in others]


def _names_of_labels(keys: list[str], selector: Object | None, path: FieldPath) -> list[FieldError]:
    if keys and selector is None:
        return [forbidden(path, "must not be specified when labelSelector is not set")]
    return [
        invalid(path % index, key, text)
        for index, key in enumerate(keys)
        for text in names.qualified_name_errors(key)
    ]
