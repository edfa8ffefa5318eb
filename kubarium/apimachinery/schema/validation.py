"""A custom resource against its schema, with upstream's texts.

A schema is compiled into closures when it is first used. A closure returns its problems with the way to them, built
only when there is one; a valid object costs no more than a walk through it. The rules under
`x-kubernetes-validations` are CEL and are evaluated elsewhere.

Source: the messages of `k8s.io/kube-openapi/pkg/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.apimachinery.field_path import ROOT, FieldError, FieldPath, required
from kubarium.apimachinery.schema import value_checks
from kubarium.apimachinery.schema.list_types import is_same
from kubarium.apimachinery.schema.match_counts import match_count
from kubarium.apimachinery.schema.problems import (
    NONE,
    Check,
    EntryKey,
    Problem,
    descend,
    plain,
    problem_at,
)
from kubarium.apimachinery.schema.structural import MISSING, Structural, from_openapi


def validate(value: Any, schema: Structural, path: FieldPath = ROOT, old: Any = MISSING) -> list[FieldError]:
    """Every error of a value against a schema.

    On an update, give what was there before as `old`: an error in a part that has not changed is let pass, so that a
    schema may become stricter than the objects that exist (upstream calls it ratcheting).
    """
    problems = _check_of(schema)(value)
    if problems and old is not MISSING:
        problems = [problem for problem in problems if not _is_unchanged(problem, value, old, schema)]
    return [problem.at(path) for problem in problems]


def _is_unchanged(problem: Problem, value: Any, old: Any, schema: Structural | None) -> bool:
    """Follow the way to a problem in both values until they are equal, or have no common part to compare."""
    for step in reversed(problem.steps):
        if is_same(value, old, schema):
            return True
        if isinstance(step, int):
            old = _older_item(value[step], old, schema)
            value, schema = value[step], schema.items if schema is not None else None
        else:
            if not isinstance(old, dict) or step not in old or step not in value:
                return False
            value, old = value[step], old[step]
            schema = schema.child(step) if schema is not None else None
        if old is MISSING:
            return False
    return is_same(value, old, schema)


def _older_item(item: Any, old: Any, schema: Structural | None) -> Any:
    """The same item of the older list; only lists with keys say which one that is."""
    if schema is None or schema.list_type != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return MISSING
    wanted = [item.get(key) for key in schema.list_keys]
    for other in old:
        if isinstance(other, dict) and [other.get(key) for key in schema.list_keys] == wanted:
            return other
    return MISSING


def _check_of(schema: Structural) -> Check:
    check: Check | None = schema.check
    if check is None:
        schema.check = lambda value: schema.check(value)  # until it is made: a schema may contain itself
        check = schema.check = _compile(schema)
    return check


def _compile(schema: Structural) -> Check:
    type_of = value_checks.type_check(schema)
    listed = value_checks.enum_check(schema)
    checks = [type_of, *_combination_checks(schema.source), *value_checks.keyword_checks(schema)]
    checks += _list_checks(schema)
    if listed is not None:
        checks.append(listed)
    checks += value_checks.object_size_checks(schema.source)
    if schema.properties or schema.additional is not None or schema.required:
        checks.append(_object_check(schema))
    of_null = [type_of] if listed is None else [type_of, listed]

    def check(value: Any) -> list[Problem]:
        found = NONE
        for one in checks if value is not None else of_null:
            problems = one(value)
            if problems:
                found = found + problems if found else problems
        return found

    return check


# Objects and lists.


def _object_check(schema: Structural) -> Check:
    children = {key: _check_of(child) for key, child in schema.properties.items()}
    others = _check_of(schema.additional) if schema.additional is not None else None
    needed = schema.required

    def check(value: Any) -> list[Problem]:
        if type(value) is not dict:
            return NONE
        found: list[Problem] = []
        for key, item in value.items():
            step = children.get(key, others)
            if step is not None and (problems := step(item)):
                descend(problems, key if key in children else EntryKey(key))
                found += problems
        found += [problem_at(key, _required) for key in needed if key not in value]
        return found

    return check


def _required(path: FieldPath, place: str) -> FieldError:
    return required(path)


def _list_checks(schema: Structural) -> list[Check]:
    sizes = value_checks.list_size_checks(schema.source)
    if schema.items is None:
        return sizes
    item_check = _check_of(schema.items)

    def check(value: Any) -> list[Problem]:
        if type(value) is not list:
            return NONE
        found: list[Problem] = []
        for index, item in enumerate(value):
            if problems := item_check(item):
                descend(problems, index)
                found += problems
        return found

    return [check, *sizes]


# Combinations. Their messages stand at the root, as upstream's do.


def _combination_checks(source: Mapping[str, Any]) -> list[Check]:
    checks: list[Check] = []
    if branches := source.get("anyOf"):
        checks.append(_any_of([_Branch(branch) for branch in branches]))
    if branches := source.get("oneOf"):
        checks.append(_one_of([_Branch(branch) for branch in branches]))
    if branches := [branch for branch in source.get("allOf") or () if "$ref" not in branch]:
        checks.append(_all_of([_Branch(branch) for branch in branches]))
    if isinstance(source.get("not"), Mapping):
        checks.append(_not(_Branch(source["not"])))
    return checks


class _Branch:
    """One of the schemas in a combination."""

    __slots__ = ("check", "schema")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.schema = from_openapi(document)
        self.check = _check_of(self.schema)


def _nearest(value: Any, branches: Sequence[_Branch]) -> list[Problem]:
    """The problems of the branch that comes nearest; the first of several that do."""
    return max(branches, key=lambda branch: match_count(value, branch.schema)).check(value)


def _any_of(branches: Sequence[_Branch]) -> Check:
    def check(value: Any) -> list[Problem]:
        if any(not branch.check(value) for branch in branches):
            return NONE
        return [plain('"%s" must validate at least one schema (anyOf)'), *_nearest(value, branches)]

    return check


def _one_of(branches: Sequence[_Branch]) -> Check:
    def check(value: Any) -> list[Problem]:
        valid = sum(1 for branch in branches if not branch.check(value))
        if valid == 1:
            return NONE
        said = f"Found {valid} valid alternatives" if valid else "Found none valid"
        problem = plain(f'"%s" must validate one and only one schema (oneOf). {said}')
        return [problem] if valid else [problem, *_nearest(value, branches)]

    return check


def _all_of(branches: Sequence[_Branch]) -> Check:
    def check(value: Any) -> list[Problem]:
        results = [branch.check(value) for branch in branches]
        found = [problem for problems in results for problem in problems]
        if not found:
            return NONE
        none = "" if any(not problems for problems in results) else ". None validated"
        return [*found, plain(f'"%s" must validate all the schemas (allOf){none}')]

    return check


def _not(branch: _Branch) -> Check:
    def check(value: Any) -> list[Problem]:
        return NONE if branch.check(value) else [plain('"%s" must not validate the schema (not)')]

    return check
