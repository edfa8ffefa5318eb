"""The rules under `x-kubernetes-validations` of a CustomResourceDefinition's schema.

A rule sees the value at its place as `self` and, if the object existed before, the value that stood there as
`oldSelf`. What has not changed is not asked again (validation ratcheting). Items of a list have an older self only
where the list is a map, so that it is known which item is which.

Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubarium.apimachinery.cel.compiler import (
    RULES_COST_LIMIT,
    CompileError,
    CostExceeded,
    EvaluationError,
    Program,
    compile,
)
from kubarium.apimachinery.cel.cost_estimation import capped
from kubarium.apimachinery.cel.libraries.optionals import NONE, Optional
from kubarium.apimachinery.cel.types import (
    BOOL,
    LARGEST_REQUEST,
    STRING,
    Type,
    least_bytes,
    of_schema,
    optional_of,
)
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    required,
)
from kubarium.apimachinery.schema.structural import Structural

KEYWORD = "x-kubernetes-validations"
ESTIMATE_LIMIT = 10_000_000
"""What a rule may cost by the sizes that the schema allows (upstream's StaticEstimatedCostLimit)."""
_NAMED = 4  # of the dearest rules, where all together are too dear
TOTAL_LIMIT = 100_000_000
"""What all rules of a schema may cost together (upstream's StaticEstimatedCRDCostLimit)."""
_TOO_COSTLY = "no further validation rules will be run due to call cost exceeds limit for rule"
_NO_SUCH_CALL = "call arguments did not match a supported operator, function or macro signature for rule"
OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"

_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class _Rule:
    """One rule, compiled."""

    text: str
    program: Program
    message: str
    message_program: Program | None
    reason: str
    field_path: str
    needs_old: bool
    optional_old: bool


@dataclass(slots=True, eq=False)
class _Place:
    """The rules at one node of the schema, and the nodes below that have some."""

    type: str
    rules: tuple[_Rule, ...]
    properties: dict[str, _Place]
    additional: _Place | None
    items: _Place | None
    keys: tuple[str, ...]


class Rules:
    """All rules of a schema. `errors` says which of them are wrong; `evaluate` asks the others."""

    def __init__(self, schema: Structural, path: FieldPath = ROOT) -> None:
        """`path` leads to the schema, for the errors."""
        self.errors: list[FieldError] = []
        self._costs: list[tuple[int, FieldPath]] = []
        self._root = self._place(schema, path, root=True, correlatable=True, times=1)
        self._judge_total(path)

    def __bool__(self) -> bool:
        """Are there any rules?"""
        return self._root is not None

    def evaluate(
        self, obj: Any, old: Any = _ABSENT, path: FieldPath = ROOT, cost_limit: int = RULES_COST_LIMIT
    ) -> list[FieldError]:
        """The errors of an object; give the one before in `old` when it is an update."""
        if self._root is None:
            return []
        evaluation = _Evaluation(cost_limit)
        with contextlib.suppress(_Enough):
            evaluation.at(self._root, obj, old, path)
        return evaluation.errors

    def _place(
        self, schema: Structural, path: FieldPath, *, root: bool, correlatable: bool, times: int | None
    ) -> _Place | None:
        """`times` is how often this node may occur in an object; None: as often as there is room for it."""
        rules = self._compiled(schema, path / KEYWORD, root, correlatable, times)
        properties = {}
        for key, child in schema.properties.items():
            where = (path / "properties").key(key)
            place = self._place(child, where, root=False, correlatable=correlatable, times=times)
            if place is not None:
                properties[key] = place
        additional = items = None
        if schema.additional is not None:
            where = path / "additionalProperties"
            many = _multiplied(times, schema.source.get("maxProperties"))
            additional = self._place(
                schema.additional, where, root=False, correlatable=correlatable, times=many
            )
        if schema.items is not None:
            known = correlatable and schema.list_type == "map"
            many = _multiplied(times, schema.source.get("maxItems"))
            items = self._place(schema.items, path / "items", root=False, correlatable=known, times=many)
        if not (rules or properties or additional or items):
            return None
        return _Place(schema.type, rules, properties, additional, items, schema.list_keys)

    def _compiled(
        self, schema: Structural, path: FieldPath, root: bool, correlatable: bool, times: int | None
    ) -> tuple[_Rule, ...]:
        rules = []
        documents: Sequence[Mapping[str, Any]] = schema.source.get(KEYWORD) or ()
        if not documents:
            return ()
        kind = of_schema(schema, root=root)
        for index, document in enumerate(documents):
            where = path % index
            if not (document.get("rule") or "").strip():
                self.errors.append(required(where / "rule", "rule is not specified"))
                continue
            try:
                rule = _compile_rule(document, kind)
            except CompileError as error:
                shown = json.dumps(_as_upstream_holds_it(document), ensure_ascii=False, separators=(",", ":"))
                text = f"Invalid value: {shown}: compilation failed: {error}"
                self.errors.append(FieldError("FieldValueInvalid", where / "rule", text))
                continue
            if rule.needs_old and not correlatable:
                message = "oldSelf cannot be used on the uncorrelatable portion of the schema"
                self.errors.append(invalid(where / "rule", rule.text, message))
            often = LARGEST_REQUEST // (least_bytes(schema) + 1) if times is None else times
            self._judge_costs(rule, often, where)
            rules.append(rule)
        return tuple(rules)

    def _judge_costs(self, rule: _Rule, often: int, path: FieldPath) -> None:
        """What a rule and its message may cost by the sizes that the schema allows."""
        programs = [("rule", rule.program)]
        if rule.message_program is not None:
            programs.append(("messageExpression", rule.message_program))
        for field, program in programs:
            cost = capped(program.estimated_cost * often)
            self._costs.append((cost, path / field))
            if cost > ESTIMATE_LIMIT:
                text = _too_costly(f"estimated {field} cost", cost, ESTIMATE_LIMIT)
                self.errors.append(forbidden(path / field, text))

    def _judge_total(self, path: FieldPath) -> None:
        """What all rules may cost together; the dearest are named."""
        total = capped(sum(cost for cost, _ in self._costs))
        if total <= TOTAL_LIMIT:
            return
        what = "estimated rule cost total"
        dearest = sorted(self._costs, key=lambda pair: -pair[0])[:_NAMED]
        text = f"contributed to {what} exceeding cost limit for entire OpenAPIv3 schema"
        self.errors += [forbidden(where, text) for _, where in dearest]
        text = f"x-kubernetes-validations {what} for entire OpenAPIv3 schema"
        self.errors.append(forbidden(path, _too_costly(text, total, TOTAL_LIMIT)))


def _multiplied(times: int | None, most: int | None) -> int | None:
    return None if times is None or most is None else capped(times * max(most, 0))


def _too_costly(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    hint = "try simplifying the rule, or adding maxItems, maxProperties, and maxLength"
    return f"{what} exceeds budget by factor of {shown} ({hint} where arrays, maps, and strings are declared)"


def _compile_rule(document: Mapping[str, Any], kind: Type) -> _Rule:
    text = document.get("rule") or ""
    optional_old = bool(document.get("optionalOldSelf"))
    variables = {"self": kind, "oldSelf": optional_of(kind) if optional_old else kind}
    expression = document.get("messageExpression")
    return _Rule(
        text=text,
        program=compile(text, variables, BOOL, estimate=True),
        message=(document.get("message") or "").strip(),
        message_program=compile(expression, variables, STRING, estimate=True) if expression else None,
        reason=document.get("reason") or "FieldValueInvalid",
        field_path=document.get("fieldPath") or "",
        needs_old=_uses_old(text, {"self": kind}),
        optional_old=optional_old,
    )


def _uses_old(text: str, without: Mapping[str, Type]) -> bool:
    """Does the rule not compile without `oldSelf`?"""
    if "oldSelf" not in text:
        return False
    try:
        compile(text, without)
    except CompileError:
        return True
    return False


class _Enough(Exception):
    """No more rules are asked."""


class _Evaluation:
    """One walk through an object; it holds what may still be spent."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self.errors: list[FieldError] = []

    def at(self, place: _Place, value: Any, old: Any, path: FieldPath) -> None:
        """Note the errors at a place and below. Raises _Enough when too much has been spent."""
        if value is None or (old is not _ABSENT and old == value):
            return
        for rule in place.rules:
            self._ask(rule, place, value, old, path)
        if isinstance(value, dict):
            for key, child in value.items():
                below = place.properties.get(key) or place.additional
                if below is not None:
                    where = path / key if key in place.properties else path.key(key)
                    before = old.get(key, _ABSENT) if isinstance(old, dict) else _ABSENT
                    self.at(below, child, _ABSENT if before is None else before, where)
        elif isinstance(value, list) and place.items is not None:
            for index, (item, before) in enumerate(_with_older(value, old, place.keys)):
                self.at(place.items, item, before, path % index)

    def _ask(self, rule: _Rule, place: _Place, value: Any, old: Any, path: FieldPath) -> None:
        if rule.needs_old and old is _ABSENT and not rule.optional_old:
            return
        bindings = {"self": value}
        if rule.optional_old:
            bindings["oldSelf"] = NONE if old is _ABSENT else Optional(True, old)
        elif old is not _ABSENT:
            bindings["oldSelf"] = old
        shown = place.type if place.type in ("object", "array") else value
        try:
            result, cost = rule.program.evaluate_with_cost(bindings)
        except CostExceeded as error:
            self.errors.append(invalid(path, shown, f"'{error}': {_TOO_COSTLY}: {_named(rule)}"))
            raise _Enough from None
        except EvaluationError as error:
            text = f"{error} evaluating rule: {_named(rule)}"
            if str(error).startswith("no such overload"):
                text = f"'{error}': {_NO_SUCH_CALL}: {_named(rule)}"
            self.errors.append(invalid(path, shown, text))
            return
        self._budget -= cost
        if self._budget < 0:
            self.errors.append(invalid(path, shown, OUT_OF_BUDGET))
            raise _Enough
        if result is True:
            return
        where = (
            FieldPath(path.text + rule.field_path)
            if path.text
            else FieldPath(rule.field_path.removeprefix("."))
        )
        self.errors.append(_error(rule, where, value, self._said(rule, bindings)))

    def _said(self, rule: _Rule, bindings: Mapping[str, Any]) -> str:
        """The message; an expression that fails, or says nothing on one line, gives way to the fixed one."""
        if rule.message_program is not None:
            try:
                text, cost = rule.message_program.evaluate_with_cost(bindings)
                self._budget -= cost
            except (EvaluationError, CostExceeded):
                text = ""
            if isinstance(text, str) and text.strip() and "\n" not in text and len(text) <= 5120:
                return text.strip()
        return _message(rule)


def _named(rule: _Rule) -> str:
    return rule.message.strip() or rule.text.strip()


def _message(rule: _Rule) -> str:
    return rule.message or f"failed rule: {rule.text.strip()}"


_DUPLICATE = "FieldValueDuplicate"
_BY_REASON: dict[str, Callable[[FieldPath, Any, str], FieldError]] = {
    "FieldValueForbidden": lambda path, value, text: forbidden(path, text),
    "FieldValueRequired": lambda path, value, text: required(path, text),
    "FieldValueDuplicate": lambda path, value, text: (
        FieldError(_DUPLICATE, path, "Duplicate value") if _is_whole(value) else duplicate(path, value)
    ),
}


def _as_upstream_holds_it(document: Mapping[str, Any]) -> dict[str, Any]:
    """A rule with the names of its fields in Go, which an error shows."""
    return {
        "Rule": document.get("rule") or "",
        "Message": document.get("message") or "",
        "MessageExpression": document.get("messageExpression") or "",
        "Reason": document.get("reason"),
        "FieldPath": document.get("fieldPath") or "",
        "OptionalOldSelf": document.get("optionalOldSelf"),
    }


def _is_whole(value: Any) -> bool:
    """Is it an object or a list? Errors do not show these."""
    return isinstance(value, dict | list)


def _error(rule: _Rule, path: FieldPath, value: Any, text: str) -> FieldError:
    if rule.reason not in _BY_REASON and _is_whole(value):
        return FieldError("FieldValueInvalid", path, f"Invalid value: {text}")
    return _BY_REASON.get(rule.reason, invalid)(path, value, text)


def _with_older(items: list[Any], old: Any, keys: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Each item with what it was before, where the items of the list have keys."""
    before: dict[tuple[str, ...], Any] = {}
    if keys and isinstance(old, list):
        before = {_identity(item, keys): item for item in old if isinstance(item, dict)}
    for item in items:
        yield (
            item,
            before.get(_identity(item, keys), _ABSENT) if before and isinstance(item, dict) else _ABSENT,
        )


def _identity(item: Mapping[str, Any], keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(repr(item.get(key)) for key in keys)
