"""StorageClass: a kind of storage that can be asked for by name."""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object, annotations_of, name_of

_MARKS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
IMMEDIATE, WAIT = "Immediate", "WaitForFirstConsumer"
RECLAIM_POLICIES = ("Delete", "Retain")


def fill_defaults(storage_class: Object) -> None:
    """Deleted after use, bound at once."""
    if storage_class.get("reclaimPolicy") is None:
        storage_class["reclaimPolicy"] = "Delete"
    if storage_class.get("volumeBindingMode") is None:
        storage_class["volumeBindingMode"] = IMMEDIATE


def is_default(storage_class: Object) -> bool:
    """Is it meant for claims that name no class?"""
    return any(annotations_of(storage_class).get(mark) == "true" for mark in _MARKS)


def default_of(classes: Iterable[Object]) -> Object | None:
    """The newest of the default classes, the first by name among equals."""
    marked = sorted((one for one in classes if is_default(one)), key=name_of)
    return max(marked, key=lambda one: str(one["metadata"].get("creationTimestamp") or ""), default=None)


def validate(storage_class: Object) -> list[FieldError]:
    """A provisioner, its parameters, known policies, whole topologies."""
    found = rules.named(
        ROOT / "provisioner",
        storage_class.get("provisioner"),
        lambda name: names.qualified_name_errors(name.lower()),
    )
    found += rules.parameters(ROOT / "parameters", storage_class.get("parameters") or {})
    policy = storage_class.get("reclaimPolicy")
    if policy and policy not in RECLAIM_POLICIES:
        found.append(not_supported(ROOT / "reclaimPolicy", policy, RECLAIM_POLICIES))
    found += rules.if_one_of(
        ROOT / "volumeBindingMode", storage_class.get("volumeBindingMode"), (IMMEDIATE, WAIT)
    )
    return found + _topologies(storage_class.get("allowedTopologies") or [], ROOT / "allowedTopologies")


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """What a class means stays."""
    found = validate(new)
    for field in ("parameters", "provisioner", "reclaimPolicy"):
        if (new.get(field) or None) != (old.get(field) or None):
            found.append(forbidden(ROOT / field, f"updates to {field} are forbidden."))
    return found + immutable(
        ROOT / "volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode")
    )


def _topologies(terms: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    before: list[dict[str, set[str]]] = [
        {} for _ in terms
    ]  # upstream finds an empty term in the room it makes
    for index, term in enumerate(term or {} for term in terms):
        seen: set[str] = set()
        for number, expression in enumerate(term.get("matchLabelExpressions") or []):
            at = (path % index / "matchLabelExpressions") % number
            key, values = expression.get("key") or "", expression.get("values") or []
            if not values:
                found.append(required(at / "values"))
            found += rules.unique(at / "values", values)
            found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
            if key in seen:
                found.append(duplicate(at / "key", key))
            seen.add(key)
        means = {
            one.get("key") or "": set(one.get("values") or [])
            for one in term.get("matchLabelExpressions") or []
        }
        found += [
            duplicate((path % index) / "matchLabelExpressions", "") for other in before if other == means
        ]
        before.append(means)
    return found
