"""A custom resource against its schema, with upstream's texts.

A schema is compiled into closures when it is first used. A closure returns its problems with the way to them, built
only when there is one; a valid object costs no more than a walk through it. The rules under
`x-kubernetes-validations` are CEL and are evaluated elsewhere.

Source: the messages of `k8s.io/kube-openapi/pkg/validation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import re2

from kubarium.apimachinery.codec import json_type
from kubarium.apimachinery.field_path import (
    ROOT,
    FieldError,
    FieldPath,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from kubarium.apimachinery.schema.formats import FORMATS
from kubarium.apimachinery.schema.structural import MISSING, Structural, from_openapi


class _Problem:
    """An error whose place is still being found: each level on the way out adds its step."""

    __slots__ = ("make", "steps")

    def __init__(self, make: Callable[[FieldPath], FieldError]) -> None:
        self.make = make
        self.steps: list[str | int] = []

    def at(self, path: FieldPath) -> FieldError:
        """The error at its place below a path."""
        for step in reversed(self.steps):
            path = path % step if isinstance(step, int) else path / step
        return self.make(path)


Check = Callable[[Any], list[_Problem]]
_NONE: list[_Problem] = []
"""What most checks return; never changed."""


def validate(value: Any, schema: Structural, path: FieldPath = ROOT, old: Any = MISSING) -> list[FieldError]:
    """Every error of a value against a schema.

    On an update, give what was there before as `old`: an error in a part that has not changed is let pass, so that a
    schema may become stricter than the objects that exist (upstream calls it ratcheting).
    """
    problems = _check_of(schema)(value)
    if problems and old is not MISSING:
        problems = [problem for problem in problems if not _is_unchanged(problem, value, old, schema)]
    return [problem.at(path) for problem in problems]


def _is_unchanged(problem: _Problem, value: Any, old: Any, schema: Structural | None) -> bool:
    """Follow the way to a problem in both values until they are equal, or have no common part to compare."""
    for step in reversed(problem.steps):
        if value == old:
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
    return bool(value == old)


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
    checks = [*_value_checks(schema), *_combination_checks(schema.source)]
    if schema.properties or schema.additional is not None or schema.required or schema.embedded:
        checks.append(_object_check(schema))
    if schema.items is not None or schema.list_type != "atomic":
        checks.append(_list_check(schema))
    type_check = _type_check(schema)

    def check(value: Any) -> list[_Problem]:
        if value is None and schema.nullable:
            return _NONE
        wrong = type_check(value)
        if wrong:
            return wrong  # nothing else is asked of a value of the wrong type
        found = _NONE
        for one in checks:
            problems = one(value)
            if problems:
                found = found + problems if found else problems
        return found

    return check


# Types.


def _type_check(schema: Structural) -> Check:
    if schema.int_or_string:
        return _typed("integer,string", lambda value: type(value) is str or type(value) is int)
    accepts = _ACCEPTS.get(schema.type)
    return _typed(schema.type, accepts) if accepts is not None else lambda value: _NONE


_ACCEPTS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) is int or type(value) is float,
}


def _typed(name: str, accepts: Callable[[Any], bool]) -> Check:
    def check(value: Any) -> list[_Problem]:
        if accepts(value):
            return _NONE
        actual = _schema_type(value)
        return [
            _Problem(
                lambda path: type_invalid(
                    path, actual, f'{path.text} in body must be of type {name}: "{actual}"'
                )
            )
        ]

    return check


def _schema_type(value: Any) -> str:
    if type(value) is int:
        return "integer"
    return {"bool": "boolean"}.get(name := json_type(value), name)


# Objects and lists.


def _object_check(schema: Structural) -> Check:
    children = {key: _check_of(child) for key, child in schema.properties.items()}
    others = _check_of(schema.additional) if schema.additional is not None else None
    needed = schema.required

    def check(value: Any) -> list[_Problem]:
        if type(value) is not dict:
            return _NONE
        found: list[_Problem] = []
        for key in needed:
            if key not in value:
                found.append(_below(key, required))
        for key, item in value.items():
            step = children.get(key, others)
            if step is not None and (problems := step(item)):
                _descend(problems, key)
                found += problems
        if schema.embedded:
            found += [_below(key, _must_not_be_empty) for key in ("apiVersion", "kind") if not value.get(key)]
        return found

    return check


def _below(key: str, make: Callable[[FieldPath], FieldError]) -> _Problem:
    problem = _Problem(make)
    problem.steps.append(key)
    return problem


def _must_not_be_empty(path: FieldPath) -> FieldError:
    return required(path)


def _descend(problems: list[_Problem], step: str | int) -> None:
    for problem in problems:
        problem.steps.append(step)


def _list_check(schema: Structural) -> Check:
    item_check = _check_of(schema.items) if schema.items is not None else None
    keys = schema.list_keys if schema.list_type == "map" else ()

    def check(value: Any) -> list[_Problem]:
        if type(value) is not list:
            return _NONE
        found: list[_Problem] = []
        if item_check is not None:
            for index, item in enumerate(value):
                if problems := item_check(item):
                    _descend(problems, index)
                    found += problems
        if schema.list_type != "atomic" and len(value) > 1:
            found += _repeated(value, keys, schema)
        return found

    return check


def _repeated(items: list[Any], keys: Sequence[str], schema: Structural) -> list[_Problem]:
    """Items of a set, or of a map by their keys, that stand there twice."""
    found: list[_Problem] = []
    seen: set[str] = set()
    for index, item in enumerate(items):
        shown = _key_of(item, keys, schema) if keys and isinstance(item, dict) else item
        identity = json.dumps(shown, sort_keys=True)
        if identity in seen:
            problem = _Problem(lambda path, shown=shown: duplicate(path, shown))  # type: ignore[misc]
            problem.steps.append(index)
            found.append(problem)
        seen.add(identity)
    return found


def _key_of(item: Mapping[str, Any], keys: Sequence[str], schema: Structural) -> dict[str, Any]:
    return {key: item[key] for key in keys if key in item}


# Single values.


def _value_checks(schema: Structural) -> list[Check]:
    source = schema.source
    checks: list[Check] = []
    if "enum" in source:
        checks.append(_enum(source["enum"]))
    for keyword, make in _KEYWORDS.items():
        if source.get(keyword) is not None:
            checks.append(make(source))
    if source.get("uniqueItems"):
        checks.append(_unique_items())
    accepts = FORMATS.get(schema.format)
    if accepts is not None and not schema.int_or_string:
        checks.append(_format(schema.format, accepts))
    if schema.format in ("int32", "int64") and schema.type == "integer":
        checks.append(_integer_range(schema.format))
    return checks


def _enum(allowed: Sequence[Any]) -> Check:
    shown = [item if isinstance(item, str) else json.dumps(item) for item in allowed]

    def check(value: Any) -> list[_Problem]:
        if any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in allowed):
            return _NONE
        return [_Problem(lambda path: not_supported(path, value, shown))]

    return check


def _rule(applies: Callable[[Any], bool], holds: Callable[[Any], bool], text: str) -> Check:
    """A check whose message is `<path> in body <text>`."""

    def check(value: Any) -> list[_Problem]:
        if not applies(value) or holds(value):
            return _NONE
        return [_Problem(lambda path: invalid(path, value, f"{path.text} in body {text}"))]

    return check


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_list(value: Any) -> bool:
    return type(value) is list


def _is_object(value: Any) -> bool:
    return type(value) is dict


def _maximum(source: Mapping[str, Any]) -> Check:
    limit = source["maximum"]
    if source.get("exclusiveMaximum"):
        return _rule(_is_number, lambda value: bool(value < limit), f"should be less than {limit}")
    return _rule(_is_number, lambda value: bool(value <= limit), f"should be less than or equal to {limit}")


def _minimum(source: Mapping[str, Any]) -> Check:
    limit = source["minimum"]
    if source.get("exclusiveMinimum"):
        return _rule(_is_number, lambda value: bool(value > limit), f"should be greater than {limit}")
    return _rule(
        _is_number, lambda value: bool(value >= limit), f"should be greater than or equal to {limit}"
    )


def _multiple_of(source: Mapping[str, Any]) -> Check:
    factor = source["multipleOf"]
    return _rule(
        _is_number, lambda value: float(value / factor).is_integer(), f"should be a multiple of {factor}"
    )


def _min_length(source: Mapping[str, Any]) -> Check:
    limit = source["minLength"]
    return _rule(_is_text, lambda value: len(value) >= limit, f"should be at least {limit} chars long")


def _max_length(source: Mapping[str, Any]) -> Check:
    limit = source["maxLength"]

    def check(value: Any) -> list[_Problem]:
        if type(value) is not str or len(value) <= limit:
            return _NONE
        return [_Problem(lambda path: too_long(path, limit))]

    return check


@lru_cache(1024)
def _pattern_of(pattern: str) -> Any:
    return re2.compile(pattern)


def _pattern(source: Mapping[str, Any]) -> Check:
    pattern = source["pattern"]
    try:
        compiled = _pattern_of(pattern)
    except re2.error:
        return _rule(_is_text, lambda value: False, f"should match '{pattern}'")
    return _rule(_is_text, lambda value: compiled.search(value) is not None, f"should match '{pattern}'")


def _min_items(source: Mapping[str, Any]) -> Check:
    limit = source["minItems"]
    return _rule(_is_list, lambda value: len(value) >= limit, f"should have at least {limit} items")


def _at_most(keyword: str, applies: Callable[[Any], bool]) -> Callable[[Mapping[str, Any]], Check]:
    def make(source: Mapping[str, Any]) -> Check:
        limit = source[keyword]

        def check(value: Any) -> list[_Problem]:
            if not applies(value) or len(value) <= limit:
                return _NONE
            return [_Problem(lambda path: too_many(path, len(value), limit))]

        return check

    return make


def _min_properties(source: Mapping[str, Any]) -> Check:
    limit = source["minProperties"]
    return _rule(_is_object, lambda value: len(value) >= limit, f"should have at least {limit} properties")


def _unique_items() -> Check:
    def is_unique(value: Any) -> bool:
        return len({json.dumps(item, sort_keys=True) for item in value}) == len(value)

    return _rule(_is_list, is_unique, "shouldn't contain duplicates")


def _format(name: str, accepts: Callable[[str], bool]) -> Check:
    def check(value: Any) -> list[_Problem]:
        if type(value) is not str or accepts(value):
            return _NONE
        text = f"in body must be of type {name}: {json.dumps(value, ensure_ascii=False)}"
        return [_Problem(lambda path: invalid(path, value, f"{path.text} {text}"))]

    return check


def _integer_range(name: str) -> Check:
    limit = 2**31 if name == "int32" else 2**63
    text = f"must be of type {name}"
    return _rule(_is_number, lambda value: -limit <= value < limit, text)


_KEYWORDS: dict[str, Callable[[Mapping[str, Any]], Check]] = {
    "maximum": _maximum,
    "minimum": _minimum,
    "multipleOf": _multiple_of,
    "minLength": _min_length,
    "maxLength": _max_length,
    "pattern": _pattern,
    "minItems": _min_items,
    "maxItems": _at_most("maxItems", _is_list),
    "minProperties": _min_properties,
    "maxProperties": _at_most("maxProperties", _is_object),
}

# Combinations. Their messages stand at the root, as upstream's do.


def _combination_checks(source: Mapping[str, Any]) -> list[Check]:
    if source.get("x-kubernetes-int-or-string"):
        # The customary `anyOf: [{type: integer}, {type: string}]` says nothing new.
        source = {key: value for key, value in source.items() if key != "anyOf"}
    checks: list[Check] = []
    if branches := source.get("anyOf"):
        checks.append(_any_of([_branch(branch) for branch in branches]))
    if branches := source.get("oneOf"):
        checks.append(_one_of([_branch(branch) for branch in branches]))
    for branch in source.get("allOf") or ():
        if "$ref" not in branch:
            checks.append(_branch(branch))
    if isinstance(source.get("not"), Mapping):
        checks.append(_not(_branch(source["not"])))
    return checks


def _branch(document: Mapping[str, Any]) -> Check:
    return _check_of(from_openapi(document))


def _said(text: str) -> _Problem:
    return _Problem(lambda path: invalid(ROOT, "", f'"{path.text}" {text}'))


def _any_of(branches: Sequence[Check]) -> Check:
    def check(value: Any) -> list[_Problem]:
        best: list[_Problem] | None = None
        for branch in branches:
            problems = branch(value)
            if not problems:
                return _NONE
            if best is None or len(problems) < len(best):
                best = problems
        return [_said("must validate at least one schema (anyOf)"), *(best or ())]

    return check


def _one_of(branches: Sequence[Check]) -> Check:
    def check(value: Any) -> list[_Problem]:
        results = [branch(value) for branch in branches]
        valid = sum(1 for problems in results if not problems)
        if valid == 1:
            return _NONE
        if valid:
            return [_said(f"must validate one and only one schema (oneOf). Found {valid} valid alternatives")]
        best = min(results, key=len)
        return [_said("must validate one and only one schema (oneOf). Found none valid"), *best]

    return check


def _not(branch: Check) -> Check:
    def check(value: Any) -> list[_Problem]:
        return _NONE if branch(value) else [_said("must not validate the schema (not)")]

    return check
