"""Do the expressions of a ValidatingAdmissionPolicy fit the kinds that it matches? Warnings, never refusals.

Source: https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/#type-checking
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from kubarium.api.admissionregistration import expressions
from kubarium.apimachinery.cel import types
from kubarium.apimachinery.cel.nodes import CompileError
from kubarium.apimachinery.cel.types import Type
from kubarium.apimachinery.group_version import GroupVersionKind, GroupVersionResource
from kubarium.apimachinery.object import Object, spec_of

MAX_TYPES = 10
_ALL = "*"


def resources_of(policy: Object) -> list[GroupVersionResource]:
    """What each rule of the policy matches by name, without wildcards and subresources; at most ten."""
    found: set[GroupVersionResource] = set()
    for rule in (spec_of(policy).get("matchConstraints") or {}).get("resourceRules") or ():
        groups, versions = rule.get("apiGroups") or (), rule.get("apiVersions") or ()
        if any(_ALL in name for name in (*groups, *versions)):
            continue  # one that may be any takes those beside it along
        named = [name for name in rule.get("resources") or () if not {_ALL, "/"} & set(name)]
        places = itertools.product(sorted(groups), sorted(versions), sorted(named))
        found.update(itertools.starmap(GroupVersionResource, itertools.islice(places, MAX_TYPES)))
    return sorted(found)


def warnings(
    policy: Object, kinds: Mapping[GroupVersionKind, Type], params: Type | None
) -> list[dict[str, str]]:
    """The `expressionWarnings` of a policy, for the types of the kinds that it matches."""
    found = []
    for field, text in _expressions(policy):
        problems = []
        for kind, kind_type in sorted(kinds.items(), key=lambda pair: pair[0]):
            problem = _problem(policy, text, kind_type, params)
            if problem:
                name = f"{kind.group}/{kind.version}, Kind={kind.kind}"  # the core group has no name
                problems.append(f"{name}: compilation failed: {problem}\n")
        if problems:
            found.append({"fieldRef": field, "warning": "\n".join(problems)})
    return found


def _expressions(policy: Object) -> Iterator[tuple[str, str]]:
    for index, validation in enumerate(spec_of(policy).get("validations") or ()):
        for field in ("expression", "messageExpression"):
            if (validation.get(field) or "").strip():
                yield f"spec.validations[{index}].{field}", validation[field]


def _problem(policy: Object, text: str, kind: Type, params: Type | None) -> str:
    known = {**expressions.VARIABLES, "object": kind, "oldObject": kind}
    if spec_of(policy).get("paramKind"):
        known["params"] = params or types.DYN
    scope = {**known, "variables": _variables(spec_of(policy).get("variables") or (), known)}
    try:
        expressions.compile(text, variables=scope)
    except CompileError as error:
        return str(error)
    return ""


def _variables(variables: Sequence[Object], known: Mapping[str, Type]) -> Type:
    """The types of the policy's variables; what does not compile may be anything."""
    fields: dict[str, Type] = {}
    for variable in variables:
        scope = {**known, "variables": types.object_of(dict(fields), "kubernetes.variables")}
        try:
            program = expressions.compile(variable.get("expression") or "", variables=scope)
            fields[variable.get("name") or ""] = program.result_type
        except CompileError:
            fields[variable.get("name") or ""] = types.DYN
    return types.object_of(fields, "kubernetes.variables")
