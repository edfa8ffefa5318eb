"""The rules under `x-kubernetes-validations` of a CustomResourceDefinition's schema.

A rule sees the value at its place as `self` and, if the object existed before, the value that stood there as
`oldSelf`. Items of a list have an older self only where the list is a map, so that it is known which item is which.

Source:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel.compiler import RULES_COST_LIMIT, CompileError, Program, compile
from kubarium.apimachinery.cel.function_costs import capped
from kubarium.apimachinery.cel.nodes import Unusable
from kubarium.apimachinery.cel.rule_evaluation import ABSENT, Enough, Evaluation, Place, Rule
from kubarium.apimachinery.cel.types import (
    BOOL,
    LARGEST_REQUEST,
    STRING,
    Type,
    least_bytes,
    of_schema,
    optional_of,
)
from kubarium.apimachinery.field_path import ROOT, FieldError, FieldPath, InOrder, forbidden, invalid
from kubarium.apimachinery.schema.json_paths import BadFieldPath, resolved
from kubarium.apimachinery.schema.structural import Structural

KEYWORD = "x-kubernetes-validations"
ESTIMATE_LIMIT = 10_000_000
"""What a rule may cost by the sizes that the schema allows (upstream's StaticEstimatedCostLimit)."""
_NAMED = 4  # of the dearest rules, where all together are too dear
TOTAL_LIMIT = 100_000_000
"""What all rules of a schema may cost together (upstream's StaticEstimatedCRDCostLimit)."""
_UNCORRELATED = "oldSelf cannot be used on the uncorrelatable portion of the schema"


class Rules:
    """All rules of a schema. `errors` says which of them are wrong; `evaluate` asks the others."""

    def __init__(self, schema: Structural, path: FieldPath = ROOT) -> None:
        """`path` leads to the schema, for the errors."""
        self.errors: list[FieldError] = []
        self._costs: list[tuple[int, FieldPath]] = []
        self._root = self._place(schema, path, root=True, uncorrelated=None, times=1)
        self._judge_total(path)

    def __bool__(self) -> bool:
        """Are there any rules?"""
        return self._root is not None

    def evaluate(
        self, obj: Any, old: Any = ABSENT, path: FieldPath = ROOT, cost_limit: int = RULES_COST_LIMIT
    ) -> list[FieldError]:
        """The errors of an object; give the one before in `old` when it is an update."""
        if self._root is None:
            return []
        evaluation = Evaluation(cost_limit)
        with contextlib.suppress(Enough):
            evaluation.at(self._root, obj, old, path)
        return evaluation.errors

    def _place(
        self,
        schema: Structural,
        path: FieldPath,
        *,
        root: bool,
        uncorrelated: FieldPath | None,
        times: int | None,
    ) -> Place | None:
        """`times` is how often this node may occur in an object; None: as often as there is room for it.

        `uncorrelated` leads to the list above whose items cannot be told from those that were there before.
        """
        rules = self._compiled(schema, path / KEYWORD, root, uncorrelated, times)
        properties = {}
        for key, child in schema.properties.items():
            where = (path / "properties").key(key)
            place = self._place(child, where, root=False, uncorrelated=uncorrelated, times=times)
            if place is not None:
                properties[key] = place
        additional = items = None
        if schema.additional is not None:
            where = path / "additionalProperties"
            many = _multiplied(times, schema.source.get("maxProperties"))
            additional = self._place(
                schema.additional, where, root=False, uncorrelated=uncorrelated, times=many
            )
        if schema.items is not None:
            lost = uncorrelated or (None if schema.list_type == "map" else path)
            many = _multiplied(times, schema.source.get("maxItems"))
            items = self._place(schema.items, path / "items", root=False, uncorrelated=lost, times=many)
        if not (rules or properties or additional or items):
            return None
        return Place(schema.type, rules, properties, additional, items, schema.list_keys)

    def _compiled(
        self,
        schema: Structural,
        path: FieldPath,
        root: bool,
        uncorrelated: FieldPath | None,
        times: int | None,
    ) -> tuple[Rule, ...]:
        rules = []
        documents: Sequence[Mapping[str, Any]] = schema.source.get(KEYWORD) or ()
        if not documents:
            return ()
        kind = of_schema(schema, root=root)
        often = LARGEST_REQUEST // (least_bytes(schema) + 1) if times is None else times
        for index, document in enumerate(documents):
            where = path % index
            if not (document.get("rule") or "").strip():
                continue  # told with what else a rule may not say
            rule = self._rule(document, schema, kind, where)
            optional = document.get("optionalOldSelf")
            if rule is not None and rule.needs_old:
                if uncorrelated is not None:
                    text = f"{_UNCORRELATED} within {uncorrelated}"
                    self.errors.append(invalid(where / "rule", document["rule"], text))
            elif optional is not None:
                text = "may not be set if oldSelf is not used in rule"
                self.errors.append(invalid(where / "optionalOldSelf", optional, text))
            if rule is not None:
                self._judge_costs(rule, often, where)
                rules.append(rule)
        return tuple(rules)

    def _rule(
        self, document: Mapping[str, Any], schema: Structural, kind: Type, path: FieldPath
    ) -> Rule | None:
        optional_old = bool(document.get("optionalOldSelf"))
        variables = {"self": kind, "oldSelf": optional_of(kind) if optional_old else kind}
        try:
            program = _program(document["rule"], variables, BOOL)
        except Unusable as error:
            self._note(document, path / "rule", f"program instantiation failed: {error}")
            return None
        except CompileError as error:
            self._note(document, path / "rule", f"compilation failed: {error}")
            return None
        except _WrongResult:
            self._note(document, path / "rule", "cel expression must evaluate to a bool")
            return None
        return Rule(
            text=document["rule"],
            program=program,
            message=(document.get("message") or "").strip(),
            message_program=self._message(document, variables, path / "messageExpression"),
            reason=document.get("reason") or "FieldValueInvalid",
            field_path=_field_path(document, schema),
            needs_old=_uses_old(document["rule"], {"self": kind}),
            optional_old=optional_old,
        )

    def _message(
        self, document: Mapping[str, Any], variables: Mapping[str, Type], path: FieldPath
    ) -> Program | None:
        expression = document.get("messageExpression") or ""
        if not expression.strip():
            return None
        try:
            return _program(expression, variables, STRING)
        except Unusable as error:
            self._note(document, path, f"messageExpression instantiation failed: {error}")
        except CompileError as error:
            self._note(document, path, f"messageExpression compilation failed: {error}")
        except _WrongResult:
            self._note(document, path, "messageExpression must evaluate to a string")
        return None

    def _note(self, document: Mapping[str, Any], path: FieldPath, text: str) -> None:
        self.errors.append(invalid(path, InOrder(_as_upstream_holds_it(document)), text))

    def _judge_costs(self, rule: Rule, often: int, path: FieldPath) -> None:
        """What a rule, each time it is asked, and its message, once, may cost by the sizes that the schema allows."""
        self._judge_cost("rule", capped(rule.program.estimated_cost * often), path)
        if rule.message_program is not None:
            self._judge_cost("messageExpression", capped(rule.message_program.estimated_cost), path)

    def _judge_cost(self, field: str, cost: int, path: FieldPath) -> None:
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
        dear = [pair for pair in self._costs if pair[0] >= TOTAL_LIMIT // 100]
        dearest = sorted(dear, key=lambda pair: -pair[0])[:_NAMED]
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


class _WrongResult(Exception):
    """The expression is of another type than it should be."""


def _program(expression: str, variables: Mapping[str, Type], wanted: Type) -> Program:
    program = compile(expression, variables, estimate=True, mutations=False)
    if program.result_type.kind != wanted.kind:
        raise _WrongResult
    return program


def _field_path(document: Mapping[str, Any], schema: Structural) -> FieldPath:
    """Where, seen from the value, the errors of a rule are shown."""
    try:
        return resolved(document.get("fieldPath") or "", schema)[0]
    except BadFieldPath:
        return ROOT


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


def _uses_old(text: str, without: Mapping[str, Type]) -> bool:
    """Does the rule not compile without `oldSelf`?"""
    if "oldSelf" not in text:
        return False
    try:
        compile(text, without)
    except CompileError:
        return True
    return False
