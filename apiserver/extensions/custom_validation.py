"""What is wrong with a custom resource besides what its schema says: rules, and numbers that a Scale cannot show."""

from __future__ import annotations

from collections.abc import Sequence

from apiserver.admission.metrics import EVALUATED
from apiserver.extensions import json_path
from kubarium.apimachinery.cel.validation_rules import Rules
from kubarium.apimachinery.field_path import ROOT, FieldError, FieldPath, invalid
from kubarium.apimachinery.object import Object

_BLOCKING = frozenset({
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
})  # fmt: skip
"""With errors of these sorts an object is too far from its schema for rules to be asked about it."""
_NOT_ASKED = FieldError(
    "FieldValueInvalid",
    ROOT,
    "Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation",
)


def judged_by_rules(
    found: list[FieldError], rules: Rules, new: Object, old: Object | None = None
) -> list[FieldError]:
    """The errors, and those of the rules; or that these could not be asked."""
    if not rules:
        return found
    if any(error.type in _BLOCKING for error in found):
        return [*found, _NOT_ASKED]
    with EVALUATED.timed():
        return [*found, *(rules.evaluate(new) if old is None else rules.evaluate(new, old))]


_MAX_REPLICAS = 2**31 - 1


def scale_errors(
    obj: Object, scale: Object, paths: Sequence[str] = ("specReplicasPath", "statusReplicasPath")
) -> list[FieldError]:
    """Numbers of replicas that a Scale could not show."""
    found = []
    for path in paths:
        count = json_path.first(obj, scale[path]) if scale.get(path) else None
        if not isinstance(count, int) or isinstance(count, bool):
            continue
        if count < 0:
            found.append(invalid(FieldPath(scale[path]), count, "should be a non-negative integer"))
        elif count > _MAX_REPLICAS:
            text = f"should be less than or equal to {_MAX_REPLICAS}"
            found.append(invalid(FieldPath(scale[path]), count, text))
    return found
