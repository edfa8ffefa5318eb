"""JSONPath templates as kubectl understands them: `{range .items[*]}{.metadata.name}{"\\n"}{end}`.

Source: https://kubernetes.io/docs/reference/kubectl/jsonpath/
"""

from __future__ import annotations

import json
import operator as operators
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"\{([^{}]*(?:\"[^\"]*\"[^{}]*|'[^']*'[^{}]*)*)\}")
FILTER = re.compile(r"^@(?P<path>[^=!<> ]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+))?$")

COMPARISONS = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    ">": operators.gt,
    "<=": operators.le,
    ">=": operators.ge,
}


class TemplateError(Exception):
    """The template cannot be read."""


@dataclass(frozen=True)
class Step:
    """One step down: a field, an index, a slice, all, a filter, or any depth."""

    kind: str
    value: Any = None


def render(template: str, data: Any) -> str:
    """Fill in a template."""
    if "{" not in template:
        template = "{" + template + "}"
    tokens = _tokens(template)
    text, rest = _render(tokens, data, data, False)
    if rest:
        raise TemplateError("not in range, nothing to end")
    return text


def find(path: str, data: Any) -> list[Any]:
    """All values at a path such as `.status.conditions[?(@.type=="Ready")].status`."""
    found = [data]
    for step in parse(path.strip().strip("{}").strip()):
        found = [value for each in found for value in _take(each, step)]
    return found


def parse(path: str) -> list[Step]:
    """The steps of a path."""
    steps: list[Step] = []
    text = path.removeprefix("$").removeprefix("@")
    while text:
        step, text = _next(text)
        steps.append(step)
    return steps


def _tokens(template: str) -> list[tuple[str, str]]:
    found, position = [], 0
    for match in TOKEN.finditer(template):
        if match.start() > position:
            found.append(("text", template[position : match.start()]))
        found.append(("action", match.group(1).strip()))
        position = match.end()
    if position < len(template):
        found.append(("text", template[position:]))
    return found


def _render(
    tokens: Sequence[tuple[str, str]], data: Any, root: Any, inside: bool
) -> tuple[str, Sequence[tuple[str, str]]]:
    output = ""
    while tokens:
        (kind, text), tokens = tokens[0], tokens[1:]
        if kind == "text":
            output += text
        elif text.startswith("range"):
            after: Sequence[tuple[str, str]] = tokens
            values = find(text[len("range") :].strip(), data)
            for value in values:
                part, after = _render(tokens, value, root, True)
                output += part
            tokens = after if values else _skip(tokens)
        elif text == "end":
            return output, (tokens if inside else [("action", "end")])
        elif text[:1] in "\"'":
            output += json.loads('"' + text[1:-1].replace('"', '\\"') + '"')
        else:
            start = root if text.startswith("$") else data
            output += " ".join(show(value) for value in find(text, start))
    return output, []


def _skip(tokens: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    depth = 1
    for position, (kind, text) in enumerate(tokens):
        if kind == "action" and text.startswith("range"):
            depth += 1
        elif kind == "action" and text == "end":
            depth -= 1
            if depth == 0:
                return tokens[position + 1 :]
    raise TemplateError("unclosed range")


def show(value: Any) -> str:
    """A value as text: plain for words and numbers, JSON for the rest."""
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"))


def _next(text: str) -> tuple[Step, str]:
    if text.startswith(".."):
        return Step("deep"), text[1:]
    if text.startswith("["):
        end = _closing(text)
        return _bracket(text[1:end]), text[end + 1 :]
    match = re.match(r"\.?((?:\\.|[^.\[\\])+)", text)
    if match is None:
        if text == ".":
            return Step("self"), ""
        raise TemplateError(f"unrecognized character in path {text!r}")
    name = match.group(1).replace("\\", "")
    return Step("all" if name == "*" else "field", name), text[match.end() :]


def _closing(text: str) -> int:
    depth, quote = 0, ""
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
            if depth == 0:
                return position
    raise TemplateError("unterminated array")


def _bracket(inner: str) -> Step:
    inner = inner.strip()
    if inner == "*":
        return Step("all")
    if inner.startswith("?("):
        match = FILTER.match(inner[2:-1].strip())
        if match is None:
            raise TemplateError(f"invalid filter {inner!r}")
        return Step("filter", (match["path"], match["op"], match["value"]))
    if inner[:1] in "\"'":
        return Step("field", inner[1:-1])
    if ":" in inner:
        parts = [int(part) if part else None for part in inner.split(":")]
        return Step("slice", slice(*parts))
    if "," in inner:
        return Step("indexes", [int(part) for part in inner.split(",")])
    try:
        return Step("index", int(inner))
    except ValueError as error:
        raise TemplateError(f"invalid array index {inner}") from error


def _take(value: Any, step: Step) -> Iterator[Any]:
    match step.kind:
        case "self":
            yield value
        case "field":
            if isinstance(value, dict) and step.value in value:
                yield value[step.value]
        case "all":
            yield from value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        case "index" | "indexes":
            wanted = [step.value] if step.kind == "index" else step.value
            if isinstance(value, list):
                yield from (value[index] for index in wanted if -len(value) <= index < len(value))
        case "slice":
            if isinstance(value, list):
                yield from value[step.value]
        case "filter":
            if isinstance(value, list):
                yield from (item for item in value if _holds(item, *step.value))
        case "deep":
            yield from _below(value)


def _below(value: Any) -> Iterator[Any]:
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _below(child)


def _holds(item: Any, path: str, operator: str | None, literal: str | None) -> bool:
    values = find(path, item)
    if operator is None or literal is None:
        return bool(values)
    if not values:
        return False
    left, right = values[0], _literal(literal.strip())
    if type(left) is not type(right) and isinstance(left, str):
        right = str(right)
    return bool(COMPARISONS[operator](left, right))


def _literal(text: str) -> Any:
    if text[:1] in "\"'":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text
