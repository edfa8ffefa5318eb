"""The rules of a schema asked about one object.

An object that broke a rule before may go on doing so, as long as the part that breaks it stays as it was: then the
error is told and tolerated. Rules about the change itself are not let off.

Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kubarium.apimachinery.cel.functions import CostExceeded, EvaluationError
from kubarium.apimachinery.cel.libraries.optionals import NONE, Optional
from kubarium.apimachinery.cel.program import Program
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    below,
    duplicate,
    forbidden,
    invalid,
    required,
)

ABSENT: Any = object()
"""Stands for a value that was not there before, or of which nobody knows which one it was."""

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_MESSAGE_OUT_OF_BUDGET = (
    "messageExpression evaluation failed due to running out of cost budget, "
    "no further validation rules will be run"
)
_TOO_COSTLY = "no further validation rules will be run due to call cost exceeds limit for rule"
_NO_SUCH_CALL = "call arguments did not match a supported operator, function or macro signature for rule"
_LONGEST_MESSAGE = 5 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, compiled."""

    text: str
    program: Program
    message: str
    message_program: Program | None
    reason: str
    field_path: FieldPath
    needs_old: bool
    optional_old: bool


@dataclass(slots=True, eq=False)
class Place:
    """The rules at one node of the schema, and the nodes below that have some."""

    type: str
    rules: tuple[Rule, ...]
    properties: dict[str, Place]
    additional: Place | None
    items: Place | None
    keys: tuple[str, ...]


class Enough(Exception):
    """No more rules are asked."""


class Evaluation:
    """One walk through an object; it holds what may still be spent."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.errors: list[FieldError] = []

    def at(
        self, place: Place, value: Any, old: Any, path: FieldPath, known: tuple[Any, Any] | None = None
    ) -> None:
        """Note the errors at a place and below. Raises Enough when too much has been spent.

        `known` is the nearest value above, and what it was before, of which that is known.
        """
        if value is None:
            return
        if old is not ABSENT:
            known = (value, old)
        if place.rules and self._budget <= 0:
            self.errors.append(invalid(path, place.type, OUT_OF_BUDGET))
            raise Enough
        for rule in place.rules:
            self._ask(rule, place, value, old, path, known)
        if isinstance(value, dict):
            for key, child in value.items():
                inner = place.properties.get(key) or place.additional
                if inner is not None:
                    where = path / key if key in place.properties else path.key(key)
                    self.at(inner, child, _at(old, key), where, known)
        elif isinstance(value, list) and place.items is not None:
            for index, (item, before) in enumerate(_with_older(value, old, place.keys)):
                self.at(place.items, item, before, path % index, known)

    def _ask(
        self, rule: Rule, place: Place, value: Any, old: Any, path: FieldPath, known: tuple[Any, Any] | None
    ) -> None:
        if rule.needs_old and old is ABSENT and not rule.optional_old:
            return
        plain = {"self": value} if old is ABSENT else {"self": value, "oldSelf": old}
        bindings = plain
        if rule.optional_old:
            bindings = {"self": value, "oldSelf": NONE if old is ABSENT else Optional(True, old)}
        try:
            result, cost = rule.program.evaluate_with_cost(bindings)
        except CostExceeded as error:
            self.errors.append(invalid(path, place.type, f"'{error}': {_TOO_COSTLY}: {_named(rule)}"))
            raise Enough from None
        except EvaluationError as error:
            text = f"{error} evaluating rule: {_named(rule)}"
            if str(error).startswith("no such overload"):
                text = f"'{error}': {_NO_SUCH_CALL}: {_named(rule)}"
            self.errors.append(invalid(path, place.type, text))
            return
        if cost > self._budget:
            self.errors.append(invalid(path, place.type, OUT_OF_BUDGET))
            raise Enough
        self._budget -= cost
        if result is True:
            return
        tolerated = not rule.needs_old and known is not None and known[0] == known[1]
        where = below(path, rule.field_path)
        text = self._said(rule, place, plain, where)
        shown = _WHOLE if place.type in ("object", "array") else value
        self.errors.append(replace(_error(rule, where, shown, text), tolerated=tolerated))

    def _said(self, rule: Rule, place: Place, bindings: Mapping[str, Any], path: FieldPath) -> str:
        """The message; an expression that fails, or says nothing on one line, gives way to the fixed one."""
        if rule.message_program is None:
            return _message(rule)
        try:
            text, cost = rule.message_program.evaluate_with_cost(bindings)
        except (EvaluationError, CostExceeded):
            return _message(rule)
        if cost > self._budget:
            self.errors.append(invalid(path, place.type, _MESSAGE_OUT_OF_BUDGET))
            raise Enough
        self._budget -= cost
        text = text.strip() if isinstance(text, str) else ""
        if text and "\n" not in text and len(text.encode()) <= _LONGEST_MESSAGE:
            return text
        return _message(rule)


def _at(old: Any, key: str) -> Any:
    """What stood under a key before; null counts as nothing."""
    before = old.get(key) if isinstance(old, dict) else None
    return ABSENT if before is None else before


def _named(rule: Rule) -> str:
    return rule.message.strip() or rule.text.strip()


def _message(rule: Rule) -> str:
    return rule.message or f"failed rule: {rule.text.strip()}"


_WHOLE: Any = object()
"""Stands for an object or a list, which errors do not show."""
_BY_REASON: dict[str, Callable[[FieldPath, Any, str], FieldError]] = {
    "FieldValueForbidden": lambda path, value, text: forbidden(path, text),
    "FieldValueRequired": lambda path, value, text: required(path, text),
    "FieldValueDuplicate": lambda path, value, text: (
        FieldError("FieldValueDuplicate", path, "Duplicate value")
        if value is _WHOLE
        else duplicate(path, value)
    ),
}


def _error(rule: Rule, path: FieldPath, value: Any, text: str) -> FieldError:
    if rule.reason not in _BY_REASON and value is _WHOLE:
        return FieldError("FieldValueInvalid", path, f"Invalid value: {text}")
    return _BY_REASON.get(rule.reason, invalid)(path, value, text)


def _with_older(items: list[Any], old: Any, keys: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Each item with what it was before, where the items of the list have keys."""
    before: dict[tuple[str, ...], Any] = {}
    if keys and isinstance(old, list):
        before = {_identity(item, keys): item for item in old if isinstance(item, dict)}
    for item in items:
        found = before.get(_identity(item, keys), ABSENT) if before and isinstance(item, dict) else ABSENT
        yield item, found


def _identity(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(repr(item.get(key)) for key in keys)
