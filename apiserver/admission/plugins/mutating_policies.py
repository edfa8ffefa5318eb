"""MutatingAdmissionPolicy: changes written in CEL, as apply configurations or JSON patches.

Source: https://kubernetes.io/docs/reference/access-authn-authz/mutating-admission-policy/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from apiserver.admission.expressions import Conditions, Decide, ExpressionFailed, Expressions, bindings_of
from apiserver.admission.plugin import CREATE, UPDATE, AdmissionPlugin, Attributes
from apiserver.admission.policy_matching import Case, KindUnknown, Match, ParamsMissing, Policies
from apiserver.admission.variables import Variables
from kubarium.apimachinery import errors
from kubarium.apimachinery.apply import merge
from kubarium.apimachinery.cel import structs
from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object, copy, name_of, spec_of
from kubarium.apimachinery.patch import json_patch
from kubarium.apimachinery.schema.structural import Structural


class Failure(NamedTuple):
    """Why a policy denies a request."""

    message: str
    reason: str = "Forbidden"


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
        """Change the object; a second time only by policies that want to see what others changed since.

        All are asked; the first that fails is the answer, with what all others say.
        """
        failed: list[Failure] = []
        seen: dict[str, bytes] = attributes.memory.setdefault("mutating policies", {})
        async for match in self._policies.matching(attributes):
            for binding in match.bindings:
                key = f"{name_of(match.policy)}/{name_of(binding)}"
                if key in seen and not _must_see_again(match.policy, seen[key], attributes):
                    continue
                failed += await self._apply(attributes, match, binding)
                seen[key] = _digest(attributes.obj)
        if failed:
            raise _denial(attributes, failed)

    async def _apply(self, attributes: Attributes, match: Match, binding: Object) -> list[Failure]:
        who = f"policy '{name_of(match.policy)}' with binding '{name_of(binding)}' denied request"
        failed: list[Failure] = []
        try:
            for case in await self._policies.cases(match.policy, binding, attributes):
                for error in await self._mutate(attributes, case, match.version):
                    failed.append(Failure(f"{who}: {error}", "Invalid"))
        except KindUnknown as error:
            whole = orjson.dumps(name_of(match.policy)).decode()
            failed.append(Failure(f"policy {whole} denied request: failed to configure policy: {error}"))
        except ParamsMissing as error:
            failed.append(Failure(f"{who}: failed to configure binding: {error}"))
        except (ExpressionFailed, errors.StatusError) as error:
            failed.append(Failure(f"{who}: {error}", "Invalid"))
        return [] if spec_of(match.policy).get("failurePolicy") == "Ignore" else failed

    async def _mutate(self, attributes: Attributes, case: Case, version: str) -> list[ExpressionFailed]:
        """Apply one mutation after another; those that fail change nothing, and are returned."""
        spec = spec_of(case.policy)
        namespace = await self._policies.namespace_of(attributes)
        shown = await self._policies.shown(attributes, version)
        bindings = bindings_of(shown, self._decide, namespace, attributes) | {"params": case.params}
        if not self._conditions.hold(spec.get("matchConditions") or (), bindings):
            return []
        failed: list[ExpressionFailed] = []
        before = shown.obj
        for mutation in spec.get("mutations") or ():
            bindings["object"] = shown.obj
            bindings["variables"] = Variables(self._expressions, spec.get("variables") or (), bindings)
            try:
                shown.obj = self._changed(shown, mutation, bindings)
            except ExpressionFailed as error:
                failed.append(error)
        if shown.obj != before:
            attributes.obj = await self._policies.restored(shown.new, attributes)
            attributes.settle(attributes.obj)
            attributes.changed_by_webhook = True
        return failed

    def _changed(self, attributes: Attributes, mutation: Object, bindings: dict[str, Any]) -> Object:
        if mutation.get("patchType") == "JSONPatch":
            text = (mutation.get("jsonPatch") or {}).get("expression") or ""
            operations = _plain(self._expressions.evaluate(text, bindings))
            try:
                patched: Object = json_patch.attempt(attributes.new, operations)
            except json_patch.TestFailed:
                return attributes.new  # a patch whose test fails is not for this object
            except json_patch.CannotApply as error:
                raise ExpressionFailed(f"JSON Patch: {error}") from None
            return patched
        text = (mutation.get("applyConfiguration") or {}).get("expression") or ""
        config = _plain(self._expressions.evaluate(text, bindings))
        schema = self._schema_of(attributes.kind)
        if schema is None:
            raise ExpressionFailed(f"no schema for {attributes.kind}")
        atomic = merge.atomic_places(config, schema)
        if atomic:
            text = f"may not mutate atomic arrays, maps or structs: {', '.join(atomic)}"
            raise ExpressionFailed(f"invalid ApplyConfiguration: {text}")
        merged: Object = merge.merge(copy(attributes.new), config, schema)
        return merged


def _denial(attributes: Attributes, failed: Sequence[Failure]) -> errors.StatusError:
    """The first failure; all are causes."""
    details = (attributes.forbidden("").details or {}) | {
        "causes": [{"message": one.message} for one in failed]
    }
    return errors.StatusError(failed[0].message, details, code=403, reason=failed[0].reason)


def _plain(made: Any) -> Any:
    """What an expression has made, if every initializer stands where its type's name says. Raises ExpressionFailed."""
    try:
        if isinstance(made, list):
            for patch in made:
                structs.plain(patch.get("value") if isinstance(patch, dict) else patch)
        return structs.plain(made)
    except structs.Mismatch as error:
        raise ExpressionFailed(f"type mismatch: {error}") from None


def _must_see_again(policy: Object, last: bytes, attributes: Attributes) -> bool:
    return spec_of(policy).get("reinvocationPolicy") == "IfNeeded" and _digest(attributes.obj) != last


def _digest(obj: Object | None) -> bytes:
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)
