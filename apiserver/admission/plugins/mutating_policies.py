"""MutatingAdmissionPolicy: changes written in CEL, as apply configurations or JSON patches.

Source: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from apiserver.admission.expressions import Conditions, Decide, ExpressionFailed, Expressions, bindings_of
from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.policy_matching import Case, ParamsMissing, Policies
from apiserver.admission.variables import Variables
from kubarium.apimachinery import errors
from kubarium.apimachinery.apply import merge
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object, copy, name_of, spec_of
from kubarium.apimachinery.patch import json_patch
from kubarium.apimachinery.schema.structural import Structural

SchemaOf = Callable[[GroupVersionKind], Structural | None]


class MutatingAdmissionPolicy(AdmissionPlugin):
    """Applies the mutations of every policy that matches, one after another."""

    name = "MutatingAdmissionPolicy"
    operations = frozenset({CREATE, UPDATE})

    def __init__(
        self, policies: Policies, expressions: Expressions, decide: Decide, schema_of: SchemaOf
    ) -> None:
        self._policies = policies
        self._expressions = expressions
        self._conditions = Conditions(expressions)
        self._decide = decide
        self._schema_of = schema_of

    async def admit(self, attributes: Attributes) -> None:
        """Change the object; a second time only by policies that want to see what others changed since."""
        seen: dict[str, bytes] = attributes.memory.setdefault("mutating policies", {})
        for policy, binding in self._policies.matching(attributes):
            key = f"{name_of(policy)}/{name_of(binding)}"
            if key in seen and not _must_see_again(policy, seen[key], attributes):
                continue
            try:
                for case in await self._policies.cases(policy, binding, attributes):
                    self._mutate(attributes, case)
            except (ParamsMissing, ExpressionFailed, errors.StatusError) as error:
                if spec_of(policy).get("failurePolicy") == "Ignore":
                    continue
                who = f"policy '{name_of(policy)}' with binding '{name_of(binding)}'"
                raise attributes.forbidden(f"{who} denied request: {error}") from None
            seen[key] = _digest(attributes.obj)

    def _mutate(self, attributes: Attributes, case: Case) -> None:
        spec = spec_of(case.policy)
        namespace = self._policies.namespace_of(attributes)
        bindings = bindings_of(attributes, self._decide, namespace) | {"params": case.params}
        if not self._conditions.hold(spec.get("matchConditions") or (), bindings):
            return
        for mutation in spec.get("mutations") or ():
            bindings["object"] = attributes.obj
            bindings["variables"] = Variables(self._expressions, spec.get("variables") or (), bindings)
            changed = self._changed(attributes, mutation, bindings)
            if changed != attributes.obj:
                attributes.obj = changed
                attributes.changed_by_webhook = True

    def _changed(self, attributes: Attributes, mutation: Object, bindings: dict[str, Any]) -> Object:
        if mutation.get("patchType") == "JSONPatch":
            text = (mutation.get("jsonPatch") or {}).get("expression") or ""
            operations = self._expressions.evaluate(text, bindings)
            patched: Object = json_patch.apply(copy(attributes.new), operations)
            return patched
        text = (mutation.get("applyConfiguration") or {}).get("expression") or ""
        config = self._expressions.evaluate(text, bindings)
        schema = self._schema_of(attributes.kind)
        if schema is None:
            raise ExpressionFailed(f"no schema for {attributes.kind}")
        merged: Object = merge.merge(copy(attributes.new), config, schema)
        return merged


def _must_see_again(policy: Object, last: bytes, attributes: Attributes) -> bool:
    return spec_of(policy).get("reinvocationPolicy") == "IfNeeded" and _digest(attributes.obj) != last


def _digest(obj: Object | None) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
