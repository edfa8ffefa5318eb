"""The CEL expressions of webhooks and policies: compiled once, evaluated on a write."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apiserver.admission.metrics import COMPILED, EVALUATED
from apiserver.admission.plugin import Attributes
from apiserver.request import RequestInfo, User
from kubarium.api.admissionregistration import expressions
from kubarium.apimachinery.cel import compiler, types
from kubarium.apimachinery.cel.functions import CostExceeded, EvaluationError
from kubarium.apimachinery.cel.libraries import authorizer
from kubarium.apimachinery.cel.nodes import CompileError
from kubarium.apimachinery.object import Object

Decide = Callable[[User, RequestInfo], authorizer.Decision]
"""May a user do something? For the variable `authorizer`, which cannot wait."""

_MAX_PROGRAMS = 5_000


class ExpressionFailed(Exception):
    """An expression could not be compiled or evaluated."""


class OutOfBudget(ExpressionFailed):
    """No more expressions are evaluated."""

    def __init__(self) -> None:
        super().__init__(
            "validation failed due to running out of cost budget, no further validation expressions will be run"
        )


class Expressions:
    """Keeps compiled expressions by their text."""

    def __init__(self) -> None:
        self._programs: dict[tuple[str, str], compiler.Program | CompileError] = {}

    def evaluate(self, text: str, bindings: Mapping[str, Any], result: types.Type = types.DYN) -> Any:
        """The value. Raises ExpressionFailed."""
        return self.measured(text, bindings, result)[0]

    def measured(
        self, text: str, bindings: Mapping[str, Any], result: types.Type = types.DYN
    ) -> tuple[Any, int]:
        """The value, and what it has cost. Raises ExpressionFailed."""
        key = (text, result.kind)
        program = self._programs.get(key)
        if program is None:
            if len(self._programs) >= _MAX_PROGRAMS:
                self._programs.clear()
            program = self._programs[key] = _compiled(text, result)
        if isinstance(program, CompileError):
            raise ExpressionFailed(f"compilation failed: {program}")
        try:
            with EVALUATED.timed():
                return program.evaluate_with_cost(bindings)
        except (EvaluationError, CostExceeded) as error:
            raise ExpressionFailed(str(error)) from None


def _compiled(text: str, result: types.Type) -> compiler.Program | CompileError:
    try:
        with COMPILED.timed():
            return expressions.compile(text, result)
    except CompileError as error:
        return error


class Metered:
    """Expressions that share a budget: those of one policy with one binding and one parameter."""

    def __init__(self, expressions: Expressions, budget: int = compiler.RULES_COST_LIMIT) -> None:
        self._expressions = expressions
        self._left = budget

    def evaluate(self, text: str, bindings: Mapping[str, Any], result: types.Type = types.DYN) -> Any:
        """The value. Raises ExpressionFailed, and OutOfBudget when all have cost too much together."""
        value, cost = self._expressions.measured(text, bindings, result)
        self._left -= cost
        if self._left < 0:
            raise OutOfBudget
        return value


class Conditions:
    """`matchConditions`: all must be true."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions

    def hold(self, conditions: Sequence[Object], bindings: Mapping[str, Any]) -> bool:
        """Are all true? A false one settles it, whatever becomes of the others. Raises ExpressionFailed."""
        failed: dict[str, None] = {}
        for condition in conditions:
            text = condition.get("expression") or ""
            try:
                if self._expressions.evaluate(text, bindings, types.BOOL) is not True:
                    return False
            except ExpressionFailed as error:
                failed[f"expression '{text}' resulted in error: {error}"] = None
        if failed:
            told = ", ".join(failed)
            raise ExpressionFailed(f"[{told}]" if len(failed) > 1 else told)
        return True


def bindings_of(
    attributes: Attributes,
    decide: Decide,
    namespace: Object | None = None,
    asked: Attributes | None = None,
) -> dict[str, Any]:
    """The variables of every expression. `asked` is the request itself where it is shown in another version."""
    ask = _asker(attributes, decide)
    place = attributes.resource
    given = (("group", place.group), ("resource", place.resource), ("subresource", attributes.subresource),
             ("namespace", attributes.namespace), ("name", attributes.name))  # fmt: skip
    return {
        "object": attributes.obj,
        "oldObject": attributes.old,
        "request": request_of(attributes, asked or attributes),
        "namespaceObject": namespace,
        "authorizer": authorizer.Authorizer(ask),
        "authorizer.requestResource": authorizer.Authorizer(ask, tuple(pair for pair in given if pair[1])),
    }


def request_of(attributes: Attributes, asked: Attributes) -> Object:
    """The request as expressions see it."""
    user = attributes.user
    return {
        "kind": attributes.kind._asdict(),
        "resource": attributes.resource._asdict(),
        "subResource": attributes.subresource,
        "requestKind": asked.kind._asdict(),
        "requestResource": asked.resource._asdict(),
        "requestSubResource": attributes.subresource,
        "name": attributes.name,
        "namespace": attributes.namespace,
        "operation": attributes.operation,
        "userInfo": {
            "username": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra.items()},
        },
        "dryRun": attributes.dry_run,
        "options": attributes.told_options,
    }


def _asker(attributes: Attributes, decide: Decide) -> authorizer.Ask:
    def ask(asked: Mapping[str, str]) -> authorizer.Decision:
        user = attributes.user
        if "serviceAccount" in asked:
            namespace, _, name = asked["serviceAccount"].partition("/")
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
            user = User(f"system:serviceaccount:{namespace}:{name}", groups=groups)
        if "path" in asked:
            return decide(user, RequestInfo(asked["path"], asked["verb"]))
        info = RequestInfo(
            "", asked["verb"], True, "apis", asked.get("group", ""), "*", asked.get("namespace", ""),
            asked.get("resource", ""), asked.get("subresource", ""), asked.get("name", ""),
            label_selector=asked.get("labelSelector", ""), field_selector=asked.get("fieldSelector", ""),
        )  # fmt: skip
        return decide(user, info)

    return ask
