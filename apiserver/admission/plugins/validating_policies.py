"""ValidatingAdmissionPolicy: rules in CEL that refuse, warn or note.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from apiserver.admission.expressions import Conditions, Decide, ExpressionFailed, Expressions, bindings_of
from apiserver.admission.plugin import CONNECT, CREATE, DELETE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.policy_matching import Case, ParamsMissing, Policies
from apiserver.admission.variables import Variables
from kubarium.apimachinery import errors
from kubarium.apimachinery.cel import types
from kubarium.apimachinery.object import Object, name_of, spec_of

_CODES = {"Unauthorized": 401, "Forbidden": 403, "Invalid": 422, "RequestEntityTooLarge": 413}
_AUDIT = "validation.policy.admission.k8s.io/validation_failure"


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
        """The first denial is the answer; warnings and notes are collected."""
        bindings: dict[str, Any] | None = None
        for policy, binding in self._policies.matching(attributes):
            if bindings is None:
                bindings = bindings_of(attributes, self._decide, self._policies.namespace_of(attributes))
            try:
                cases = await self._policies.cases(policy, binding, attributes)
            except ParamsMissing as error:
                self._act(attributes, policy, binding, str(error), "Invalid")
                continue
            for case in cases:
                self._judge(attributes, case, {**bindings, "params": case.params})

    def _judge(self, attributes: Attributes, case: Case, bindings: dict[str, Any]) -> None:
        spec = spec_of(case.policy)
        closed = spec.get("failurePolicy") != "Ignore"
        try:
            if not self._conditions.hold(spec.get("matchConditions") or (), bindings):
                return
        except ExpressionFailed as error:
            if closed:
                self._act(attributes, case.policy, case.binding, str(error), "Invalid")
            return
        bindings["variables"] = Variables(self._expressions, spec.get("variables") or (), bindings)
        for message, reason in self._failures(spec, bindings, closed):
            self._act(attributes, case.policy, case.binding, message, reason)
        self._annotate(attributes, case.policy, bindings)

    def _failures(self, spec: Object, bindings: dict[str, Any], closed: bool) -> Iterator[tuple[str, str]]:
        for validation in spec.get("validations") or ():
            text = validation.get("expression") or ""
            try:
                if self._expressions.evaluate(text, bindings, types.BOOL) is True:
                    continue
            except ExpressionFailed as error:
                if closed:
                    yield f"expression '{text}' resulted in error: {error}", "Invalid"
                continue
            yield self._message(validation, bindings), validation.get("reason") or "Invalid"

    def _message(self, validation: Object, bindings: dict[str, Any]) -> str:
        plain = (
            validation.get("message") or f"failed expression: {(validation.get('expression') or '').strip()}"
        )
        dynamic = validation.get("messageExpression")
        if dynamic:
            try:
                said = self._expressions.evaluate(dynamic, bindings, types.STRING)
            except ExpressionFailed:
                return plain
            if isinstance(said, str) and said.strip() and "\n" not in said.strip():
                return said.strip()
        return plain

    @staticmethod
    def _act(attributes: Attributes, policy: Object, binding: Object, message: str, reason: str) -> None:
        actions = spec_of(binding).get("validationActions") or ["Deny"]
        who = f"ValidatingAdmissionPolicy '{name_of(policy)}' with binding '{name_of(binding)}'"
        if "Audit" in actions:
            note = [{"message": message, "policy": name_of(policy), "binding": name_of(binding),
                     "validationActions": actions}]  # fmt: skip
            attributes.context.audit_annotations[_AUDIT] = orjson.dumps(note).decode()
        if "Warn" in actions:
            attributes.context.warn(f"Validation failed for {who}: {message}")
        if "Deny" in actions:
            error = attributes.forbidden(f"{who} denied request: {message}")
            error.reason, error.code = reason, _CODES.get(reason, 422)
            error.details = {**(error.details or {}), "causes": [{"message": message}]}
            raise error

    def _annotate(self, attributes: Attributes, policy: Object, bindings: dict[str, Any]) -> None:
        for annotation in spec_of(policy).get("auditAnnotations") or ():
            try:
                value = self._expressions.evaluate(annotation.get("valueExpression") or "", bindings)
            except ExpressionFailed as error:
                if spec_of(policy).get("failurePolicy") != "Ignore":
                    raise errors.InternalError.because(str(error)) from None
                continue
            if value:
                attributes.context.audit_annotations[f"{name_of(policy)}/{annotation.get('key')}"] = str(
                    value
                )
