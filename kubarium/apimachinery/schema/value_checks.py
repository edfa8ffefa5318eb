"""The keywords of a schema that judge a single value, each as a function from the schema to a check.

All that apply are asked, even of a value of the wrong type.
Source: `k8s.io/kube-openapi/pkg/validation/validate`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import re2

from kubarium.apimachinery.field_path import (
    go_number,
    invalid,
    not_supported,
    too_long,
    too_many,
    type_invalid,
)
from kubarium.apimachinery.schema.formats import FORMATS, UNCHECKED
from kubarium.apimachinery.schema.problems import NONE, Check, Problem, plain
from kubarium.apimachinery.schema.structural import Structural

Source = Mapping[str, Any]

_LARGEST_EXACT = 2**53 - 1  # what a float holds without loss


def format_of(schema: Structural) -> str:
    """The format, if it is one that is known for the type."""
    name, kind = schema.format, "" if schema.int_or_string else schema.type
    if kind in ("", "string"):
        return name if name in FORMATS or name.replace("-", "") in UNCHECKED else ""
    known = {"integer": ("int32", "int64"), "number": ("float", "double")}
    return name if name in known.get(kind, ()) else ""


def unknown_formats(document: Any) -> list[str]:
    """The formats in a schema that mean nothing here, in the order in which upstream meets them."""
    found: list[str] = []
    if isinstance(document, Mapping):
        name = document.get("format") or ""
        if name and not format_of(Structural(type=document.get("type") or "", format=name)):
            found.append(name)
        below = [document.get("items")]
        for keyword in ("allOf", "anyOf", "oneOf"):
            below += document.get(keyword) or ()
        below += [document.get("not"), *(document.get("properties") or {}).values()]
        below.append(document.get("additionalProperties"))
        for child in below:
            found += unknown_formats(child)
    return found


def type_check(schema: Structural) -> Check:
    """Is the value of the type that the schema wants, and of the format where that is about types?"""
    wanted = ("integer", "string") if schema.int_or_string else (schema.type,) if schema.type else ()
    form, names = format_of(schema), ",".join(wanted)
    numeric = "integer" in wanted or "number" in wanted

    def check(value: Any) -> list[Problem]:
        if value is None:
            return [_wrong_type(names, "null")] if wanted and not schema.nullable else NONE
        if not wanted and not form:
            return NONE
        kind, its_format = _TYPES[type(value)]
        if type(value) is int and not -(2**63) <= value < 2**63:
            kind, its_format, value = "number", "float64", float(value)  # as Go decodes it
        fits = kind in wanted or (kind == "integer" and "number" in wanted)
        if not fits and kind == "number" and "integer" in wanted:
            fits = _is_whole(value)
        if form and kind in ("string", "array"):
            return NONE if fits or not numeric else [_wrong_type(names, kind)]
        if form and not fits and its_format != form:
            return [_wrong_type(form, its_format)]
        return NONE if fits else [_wrong_type(names, kind)]

    return check


_TYPES: dict[type, tuple[str, str]] = {
    dict: ("object", ""),
    list: ("array", ""),
    str: ("string", ""),
    bool: ("boolean", ""),
    int: ("integer", "int64"),
    float: ("number", "float64"),
}


def _is_whole(value: float) -> bool:
    """Is it an integer, and small enough that nothing was lost?"""
    return abs(value) <= _LARGEST_EXACT and value.is_integer()


def _wrong_type(wanted: str, actual: str) -> Problem:
    text = f'in body must be of type {wanted}: "{actual}"'
    return Problem(lambda path, place: type_invalid(path, actual, f"{place} {text}"))


def keyword_checks(schema: Structural) -> list[Check]:
    """What the keywords of a schema ask of a value itself, in upstream's order."""
    source = schema.source
    checks: list[Check] = [*_text_checks(source)]
    form = format_of(schema)
    if form in FORMATS:
        checks.append(_format(form, FORMATS[form]))
    checks += _number_checks(schema, source)
    return checks


def enum_check(schema: Structural) -> Check | None:
    """Is the value one of those that are listed?"""
    allowed: Sequence[Any] = schema.source.get("enum") or ()
    if not allowed:
        return None
    shown = [item if isinstance(item, str) else json.dumps(item, separators=(",", ":")) for item in allowed]

    def check(value: Any) -> list[Problem]:
        if value is not None and any(_same(value, item) for item in allowed):
            return NONE
        return [Problem(lambda path, place: not_supported(path, value, shown))]

    return check


def _same(value: Any, item: Any) -> bool:
    if type(value) is float and type(item) is int:
        return int(value) == item  # upstream converts the value to the type of the choice, whatever is lost
    return bool(value == item) and isinstance(value, bool) == isinstance(item, bool)


# Texts.


def _text_checks(source: Source) -> list[Check]:
    least, most, pattern = source.get("minLength"), source.get("maxLength"), source.get("pattern")
    if least is None and most is None and not pattern:
        return []
    matches = _matcher(pattern) if pattern else None

    def check(value: Any) -> list[Problem]:
        if type(value) is not str:
            return NONE
        if most is not None and len(value) > most:
            return [Problem(lambda path, place: too_long(path, most))]
        if least is not None and len(value) < least:
            return [_said(value, f"should be at least {least} chars long")]
        if matches is not None and not matches(value):
            return [_said(value, f"should match '{pattern}'")]
        return NONE

    return [check]


def _said(value: Any, text: str) -> Problem:
    """A problem whose text is `<place> in body <text>`."""
    return Problem(lambda path, place: invalid(path, value, f"{place} in body {text}"))


@lru_cache(1024)
def _matcher(pattern: str) -> Callable[[str], bool]:
    try:
        compiled = re2.compile(pattern)
    except re2.error:
        return lambda value: False
    return lambda value: compiled.search(value) is not None


def _format(name: str, accepts: Callable[[str], bool]) -> Check:
    def check(value: Any) -> list[Problem]:
        if type(value) is not str or accepts(value):
            return NONE
        text = f"in body must be of type {name}: {json.dumps(value, ensure_ascii=False)}"
        return [Problem(lambda path, place: type_invalid(path, value, f"{place} {text}"))]

    return check


# Numbers.


def _number_checks(schema: Structural, source: Source) -> list[Check]:
    kind = "" if schema.int_or_string else schema.type
    form = format_of(schema)
    checks: list[Check] = [_range(kind, form)] if kind in ("integer", "number") else []
    if (factor := source.get("multipleOf")) is not None:
        checks += [*_bound_range("MultipleOf", factor, kind, form), _multiple_of(factor)]
    for keyword, prefix, make in (
        ("minimum", "Minimum boundary", _least),
        ("maximum", "Maximum boundary", _most),
    ):
        if (limit := source.get(keyword)) is not None:
            exclusive = bool(source.get(f"exclusive{keyword.capitalize()}"))
            checks += [*_bound_range(prefix, limit, kind, form), make(limit, exclusive)]
    return checks


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _is_in_range(value: float, kind: str, form: str) -> bool:
    if kind == "integer":
        limit = 2**31 if form == "int32" else 2**63
        return value == int(value) and -limit <= value < limit
    return form != "float" or abs(value) < 3.4028235677973366e38  # what rounds to the largest float32


def _range_text(prefix: str, kind: str, form: str) -> str:
    shown = f"with format {form}" if form else "(default format)"
    return f"{prefix} value must be of type {kind} {shown} in %s"


def _range(kind: str, form: str) -> Check:
    text = _range_text("Checked", kind, form)

    def check(value: Any) -> list[Problem]:
        return NONE if not _is_number(value) or _is_in_range(value, kind, form) else [plain(text)]

    return check


def _bound_range(prefix: str, bound: float, kind: str, form: str) -> list[Check]:
    """A bound that no value of the type can have is told with each value."""
    if kind not in ("integer", "number") or _is_in_range(bound, kind, form):
        return []
    text = _range_text(prefix, kind, form)
    return [lambda value: [plain(text)] if _is_number(value) else NONE]


def _multiple_of(factor: float) -> Check:
    def check(value: Any) -> list[Problem]:
        if not _is_number(value):
            return NONE
        step: float = int(factor) if type(value) is int else factor
        if step <= 0:
            text = f"factor MultipleOf declared for %s must be positive: {go_number(step)}"
            return [Problem(lambda path, place: invalid(path, step, text.replace("%s", place)))]
        times = 1 / step * value if step < 1 else value / step
        fits = value % step == 0 if type(value) is int else _is_whole(times)
        return NONE if fits else [_said(value, f"should be a multiple of {go_number(step)}")]

    return check


def _most(limit: float, exclusive: bool) -> Check:
    def check(value: Any) -> list[Problem]:
        if not _is_number(value):
            return NONE
        bound = int(limit) if type(value) is int else limit
        if value < bound or (value == bound and not exclusive):
            return NONE
        than = "less than" if exclusive else "less than or equal to"
        return [_said(value, f"should be {than} {_bound(bound, value)}")]

    return check


def _least(limit: float, exclusive: bool) -> Check:
    def check(value: Any) -> list[Problem]:
        if not _is_number(value):
            return NONE
        bound = int(limit) if type(value) is int else limit
        if value > bound or (value == bound and not exclusive):
            return NONE
        than = "greater than" if exclusive else "greater than or equal to"
        return [_said(value, f"should be {than} {_bound(bound, value)}")]

    return check


def _bound(bound: float, value: float) -> str:
    """Beside a float, bounds are floats."""
    return go_number(float(bound) if type(value) is float else bound)


# Sizes.


def list_size_checks(source: Source) -> list[Check]:
    """How many items a list has, and whether they differ."""
    checks: list[Check] = []
    if (least := source.get("minItems")) is not None:
        checks.append(_at_least(least, list, "items"))
    if (most := source.get("maxItems")) is not None:
        checks.append(_at_most(most, list))
    if source.get("uniqueItems"):
        checks.append(_unique)
    return checks


def object_size_checks(source: Source) -> list[Check]:
    """How many fields an object has."""
    checks: list[Check] = []
    if (least := source.get("minProperties")) is not None:
        checks.append(_at_least(least, dict, "properties"))
    if (most := source.get("maxProperties")) is not None:
        checks.append(_at_most(most, dict))
    return checks


def _at_least(limit: int, kind: type[Any], unit: str) -> Check:
    def check(value: Any) -> list[Problem]:
        if type(value) is not kind or len(value) >= limit:
            return NONE
        return [_said(len(value), f"should have at least {limit} {unit}")]

    return check


def _at_most(limit: int, kind: type[Any]) -> Check:
    def check(value: Any) -> list[Problem]:
        if type(value) is not kind or len(value) <= limit:
            return NONE
        return [Problem(lambda path, place: too_many(path, len(value), limit))]

    return check


def _unique(value: Any) -> list[Problem]:
    if type(value) is not list or len({json.dumps(item, sort_keys=True) for item in value}) == len(value):
        return NONE
    return [Problem(lambda path, place: invalid(path, "", f"{place} in body shouldn't contain duplicates"))]
