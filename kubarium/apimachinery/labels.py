"""Label selectors: parse the text form, build from `LabelSelector`, match.

Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from kubarium.apimachinery import names
from kubarium.apimachinery.object import Object


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label. Operators: `=`, `!=`, `in`, `notin`, `exists`, `!`, `gt`, `lt`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Does a set of labels fulfil the condition?"""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return value is not None and value in self.values
            case "!=" | "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return _compare(value, self.operator, self.values[0])

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
            case _:
                return f"{self.key}{self.operator}{self.values[0]}"


def _compare(value: str | None, operator: str, bound: str) -> bool:
    try:
        if value is None:
            return False
        return int(value) > int(bound) if operator == "gt" else int(value) < int(bound)
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold. No requirements: everything matches, unless `nothing`."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Is a thing with these labels selected?"""
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        """Does it select whatever comes?"""
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def from_map(labels: Mapping[str, str] | None) -> Selector:
    """Equality with every entry, as in `Service.spec.selector`."""
    return Selector(tuple(Requirement(key, "=", (value,)) for key, value in sorted((labels or {}).items())))


def from_label_selector(selector: Object | None) -> Selector:
    """A `LabelSelector` object: nil selects nothing, empty selects everything. Raises ValueError."""
    if selector is None:
        return NOTHING
    found = list(from_map(selector.get("matchLabels")).requirements)
    for expression in selector.get("matchExpressions") or []:
        found.append(requirement_of(expression))
    return Selector(tuple(sorted(found, key=lambda requirement: requirement.key)))


def requirement_of(expression: Object) -> Requirement:
    """`{key, operator, values}`: a `LabelSelectorRequirement` or `NodeSelectorRequirement`. Raises ValueError."""
    operators = {
        "In": "in",
        "NotIn": "notin",
        "Exists": "exists",
        "DoesNotExist": "!",
        "Gt": "gt",
        "Lt": "lt",
    }
    operator = expression.get("operator") or ""
    if operator not in operators:
        raise ValueError(f'"{operator}" is not a valid label selector operator')
    return Requirement(
        expression.get("key") or "", operators[operator], tuple(expression.get("values") or ())
    )


_NO_BEGINNING = ("", ",", "(", ")", "=", "==", "!=", ">", "<")
"""What no requirement begins with."""
_TOKEN = re.compile(r"\s*(?:(\()|(\))|(,)|(!=|==|=|!|>|<)|([^\s(),!=<>]+))")


def in_go(selector: Object | None) -> str:
    """A `LabelSelector` as upstream's types print themselves in messages."""
    if selector is None:
        return "nil"
    pairs = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        "LabelSelectorRequirement{"
        f"Key:{one.get('key')},Operator:{one.get('operator')},Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


class ParseError(ValueError):
    """The text is not a selector."""


def parse(text: str) -> Selector:
    """`app=web,tier in (a,b),!old` -> a selector. Raises ParseError with upstream's wording."""
    if not text.strip():
        return EVERYTHING
    tokens = _tokens(text)
    found: list[Requirement] = []
    position = 0
    while True:
        if tokens[position] in _NO_BEGINNING:
            raise ParseError(f"found '{tokens[position]}', expected: !, identifier, or 'end of string'")
        try:
            requirement, position = _requirement(tokens, position)
            _check(requirement)
        except ParseError as error:
            raise ParseError(f"unable to parse requirement: {error}") from None
        found.append(requirement)
        if tokens[position] == "":
            return Selector(tuple(sorted(found, key=lambda r: r.key)))
        if tokens[position] != ",":
            raise ParseError(f"found '{tokens[position]}', expected: ',' or 'end of string'")
        position += 1
        if tokens[position] == "":
            raise ParseError("found '', expected: identifier after ','")


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:  # pragma: no cover - the pattern covers every character
            raise ParseError(f"unable to parse requirement: found '{stripped[position:]}'")
        tokens.append(match[match.lastindex or 0])
        position = match.end()
    return [*tokens, ""]


def _requirement(tokens: list[str], at: int) -> tuple[Requirement, int]:
    if tokens[at] == "!":
        return Requirement(_identifier(tokens, at + 1), "!"), at + 2
    key = _identifier(tokens, at)
    operator = tokens[at + 1]
    if operator in (",", ""):
        return Requirement(key, "exists"), at + 1
    if operator in ("in", "notin"):
        values, position = _values(tokens, at + 2)
        return Requirement(key, operator, values), position
    if operator in ("=", "==", "!=", ">", "<"):
        value, position = tokens[at + 2], at + 3
        if value in (",", ""):
            value, position = "", at + 2
        elif value in ("(", ")", "!", "=", "==", "!=", ">", "<"):
            raise ParseError(f"found '{value}', expected: identifier")
        name = {"==": "=", ">": "gt", "<": "lt"}.get(operator, operator)
        return Requirement(key, name, (value,)), position
    raise ParseError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")


def _identifier(tokens: list[str], at: int) -> str:
    token = tokens[at] if at < len(tokens) else ""
    if token in _NO_BEGINNING or token == "!":
        raise ParseError(f"found '{token}', expected: identifier")
    return token


def _values(tokens: list[str], at: int) -> tuple[tuple[str, ...], int]:
    if tokens[at] != "(":
        raise ParseError(f"found '{tokens[at]}' expected: '('")
    values: list[str] = []
    at += 1
    expect_value = True
    while True:
        token = tokens[at]
        if token == ")":
            if expect_value:
                values.append("")
            return tuple(dict.fromkeys(values)), at + 1
        if token == "":
            raise ParseError("found '', expected: ',' or ')'")
        if token == ",":
            if expect_value:
                values.append("")
            expect_value = True
        elif expect_value:
            values.append(token)
            expect_value = False
        else:
            raise ParseError(f"found '{token}', expected: ',' or ')'")
        at += 1


def _check(requirement: Requirement) -> None:
    problems = names.qualified_name_errors(requirement.key)
    if problems:
        raise ParseError(f'key: Invalid value: "{requirement.key}": {"; ".join(problems)}')
    if requirement.operator in ("gt", "lt"):
        if not requirement.values[0].lstrip("+-").isdigit():
            raise ParseError(f'values[0]: Invalid value: "{requirement.values[0]}": for \'Gt\', \'Lt\' operators, '
                             "the value must be an integer")  # fmt: skip
        return
    for index, value in enumerate(requirement.values):
        problems = names.label_value_errors(value)
        if problems:
            raise ParseError(
                f'values[{index}][{requirement.key}]: Invalid value: "{value}": {"; ".join(problems)}'
            )
