"""ValidatingAdmissionPolicy: rules in CEL that refuse, warn or note.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.admission import metrics
from apiserver.admission.expressions import (
    Conditions,
    Decide,
    ExpressionFailed,
    Expressions,
    Metered,
    OutOfBudget,
    bindings_of,
)
from apiserver.admission.plugin import CONNECT, CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.policy_matching import Case, KindUnknown, Match, ParamsMissing, Policies
from apiserver.admission.variables import Variables
from kubarium.apimachinery import errors
from kubarium.apimachinery.cel import types
from kubarium.apimachinery.cel.conversions import kind_of
from kubarium.apimachinery.object import Object, name_of, spec_of

_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}
_AUDIT = "validation.policy.admission.k8s.io/validation_failure"
_LONGEST_MESSAGE = 5 * 1024  # bytes of what a messageExpression says
_LONGEST_NOTE = 10 * 1024  # bytes of an audit annotation


@dataclass(frozen=True, slots=True)
class Failure:
    """What a policy holds against a write."""

    message: str
    reason: str = "Invalid"
    index: int = 0
    """Which of the policy's validations it was."""
    seconds: float = 0.0
    """How long it took to find out."""
    error: str = ""
    """Why there is no answer, if there is none."""


class ValidatingAdmissionPolicy(AdmissionPlugin):
    """Evaluates every policy that matches, for each of its bindings."""

    name = "ValidatingAdmissionPolicy"
    operations = frozenset({CREATE, UPDATE, DELETE, CONNECT})

    def __init__(self, policies: Policies, expressions: Expressions, decide: Decide) -> None:
        self._policies = policies
        self._expressions = expressions
        self._conditions = Conditions(expressions)
        self._decide = decide

    async def validate(self, attributes: Attributes) -> None:
        """All are asked, for their warnings and notes; the first denial is the answer."""
        denials: list[errors.StatusError] = []
        async for match in self._policies.matching(attributes):
            denials += await self._ask(attributes, match)
        if denials:
            raise denials[0]

    async def _ask(self, attributes: Attributes, match: Match) -> list[errors.StatusError]:
        policy, closed = match.policy, spec_of(match.policy).get("failurePolicy") != "Ignore"
        try:
            shown = await self._policies.shown(attributes, match.version)
        except (errors.StatusError, ValueError) as error:
            text = f"failed to configure policy: failed to convert object version: {error}"
            return [_denial(attributes, policy, None, Failure(text))] if closed else []
        namespace = await self._policies.namespace_of(attributes)
        bindings = bindings_of(shown, self._decide, namespace, attributes)
        denials: list[errors.StatusError] = []
        notes: dict[str, list[str]] = {}
        for binding in match.bindings:
            try:
                cases = await self._policies.cases(policy, binding, attributes)
            except ParamsMissing as error:
                if closed:
                    sort, of = ("policy", None) if isinstance(error, KindUnknown) else ("binding", binding)
                    failure = Failure(f"failed to configure {sort}: {error}")
                    denials.append(_denial(attributes, policy, of, failure))
                continue
            for case in cases:
                denials += self._judge(attributes, case, {**bindings, "params": case.params}, notes)
        for key, values in notes.items():
            attributes.context.audit_annotations[f"{name_of(policy)}/{key}"] = ", ".join(values)
        return denials

    def _judge(
        self, attributes: Attributes, case: Case, bindings: dict[str, Any], notes: dict[str, list[str]]
    ) -> list[errors.StatusError]:
        spec = spec_of(case.policy)
        closed = spec.get("failurePolicy") != "Ignore"
        try:
            if not self._conditions.hold(spec.get("matchConditions") or (), bindings):
                return []
        except ExpressionFailed as error:
            return self._act(attributes, case, Failure(str(error))) if closed else []
        metered = Metered(self._expressions)
        bindings["variables"] = Variables(metered, spec.get("variables") or (), bindings)
        denials = []
        for failure in self._failures(metered, spec, bindings):
            if failure.error and not closed:
                _count(case, failure, "allow")
            else:
                denials += self._act(attributes, case, failure)
        for annotation in spec.get("auditAnnotations") or ():
            problem = take_note(metered, annotation, bindings, notes, closed)
            if problem:
                denials.append(_denial(attributes, case.policy, case.binding, Failure(problem)))
        return denials

    def _failures(self, metered: Metered, spec: Object, bindings: dict[str, Any]) -> Iterator[Failure]:
        for index, validation in enumerate(spec.get("validations") or ()):
            text, began = validation.get("expression") or "", time.perf_counter()
            try:
                if metered.evaluate(text, bindings, types.BOOL) is True:
                    continue
            except OutOfBudget as error:
                yield Failure(str(error), index=index, error=str(error))
                return
            except ExpressionFailed as error:
                taken = time.perf_counter() - began
                said = f"expression '{text}' resulted in error: {error}"
                yield Failure(said, index=index, seconds=taken, error=str(error))
                continue
            taken = time.perf_counter() - began
            said = self._message(metered, validation, bindings)
            yield Failure(said, validation.get("reason") or "Invalid", index, taken)

    @staticmethod
    def _message(metered: Metered, validation: Object, bindings: dict[str, Any]) -> str:
        expression, message = validation.get("expression") or "", (validation.get("message") or "").strip()
        plain = message or f"failed expression: {expression.strip()}"
        dynamic = validation.get("messageExpression")
        if not dynamic:
            return plain
        try:
            said = metered.evaluate(dynamic, bindings, types.STRING)
        except ExpressionFailed:
            return plain
        said = said.strip() if isinstance(said, str) else ""
        return plain if not said or "\n" in said or len(said.encode()) > _LONGEST_MESSAGE else said

    @staticmethod
    def _act(attributes: Attributes, case: Case, failure: Failure) -> list[errors.StatusError]:
        """Warn, note or deny, as the binding says."""
        policy, binding = case.policy, case.binding
        actions = spec_of(binding).get("validationActions") or ["Deny"]
        for action in actions:
            _count(case, failure, action.lower())
        if "Audit" in actions:
            note = [{"message": failure.message, "policy": name_of(policy), "binding": name_of(binding),
                     "expressionIndex": failure.index, "validationActions": actions}]  # fmt: skip
            attributes.context.audit_annotations.setdefault(_AUDIT, orjson.dumps(note).decode())
        if "Warn" in actions:
            who = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}'"
            attributes.context.warn(f"Validation failed for {who}: {failure.message}")
        return [_denial(attributes, policy, binding, failure)] if "Deny" in actions else []


def take_note(
    metered: Metered,
    annotation: Object,
    bindings: dict[str, Any],
    notes: dict[str, list[str]],
    closed: bool,
) -> str:
    """An audit annotation; the same said by several bindings is said once. Why there is none to be taken."""
    text = annotation.get("valueExpression") or ""
    try:
        value = metered.evaluate(text, bindings)
    except ExpressionFailed as error:
        return f"expression '{text}' resulted in error: {error}" if closed else ""
    if value is None:
        return ""
    if not isinstance(value, str):  # refused whatever the policy says of failures
        return (
            f"valueExpression '{text}' resulted in unsupported return type: {kind_of(value)}. "
            "Return type must be either string or null."
        )
    said, key = _shortened(value.strip()), annotation.get("key") or ""
    if said and said not in notes.get(key, ()):
        notes.setdefault(key, []).append(said)
    return ""


def _shortened(text: str) -> str:
    return text.encode()[:_LONGEST_NOTE].decode(errors="ignore")


def _count(case: Case, failure: Failure, action: str) -> None:
    error = "compile_error" if failure.error.startswith("compilation") else "no_error"
    labels = (name_of(case.policy), name_of(case.binding), error, action)
    metrics.CHECKS.add(labels)
    metrics.CHECK_SECONDS.observe(labels, failure.seconds)


def _denial(
    attributes: Attributes, policy: Object, binding: Object | None, failure: Failure
) -> errors.StatusError:
    by = f" with binding '{name_of(binding)}'" if binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{name_of(policy)}'{by} denied request: {failure.message}"
    error: errors.StatusError = attributes.forbidden(message)
    error.reason, error.code = failure.reason, _CODES.get(failure.reason, 422)
    error.details = {**(error.details or {}), "causes": [{"message": message}]}
    return error
