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

from kubarium.apimachinery.go_text import go_syntax
from kubarium.kubectl.go_template.lexer import TemplateError

FILTER = re.compile(r"^@(?P<path>[^=!<> ]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+))?$")

CONSTANT = re.compile(r"true|false|[-+]?\d+(\.\d+)?")

COMPARISONS = {
    "==": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    ">": operators.gt,
    "<=": operators.le,
    ">=": operators.ge,
}


@dataclass(frozen=True)
class Step:
    """One step down: a field, an index, a slice, all, a filter, or any depth."""

    kind: str
    value: Any = None


def render(template: str, data: Any) -> str:
    """Fill in a template; text outside of braces stays as it is. Raises TemplateError."""
    try:
        tokens = _tokens(template)
        for kind, text in tokens:
            if kind == "action" and not _is_word(text):
                parse(text.removeprefix("range").strip())
    except TemplateError as error:
        raise TemplateError(f"error parsing jsonpath {template}, {error}") from error
    try:
        text, rest = _render(tokens, data, data, False)
        if rest:
            raise TemplateError("not in range, nothing to end")
    except TemplateError as error:
        raise TemplateError(
            f'error executing jsonpath "{template}": Error executing template: {error}. Printing more information '
            f"for debugging the template:\n\ttemplate was:\n\t\t{template}\n\tobject given to jsonpath engine was:"
            f"\n\t\t{go_syntax(data)}\n\n"
        ) from error
    return text


def _is_word(text: str) -> bool:
    """`end`, a quoted text, a number, a truth: what is no path."""
    return text == "end" or text[:1] in "\"'" or bool(CONSTANT.fullmatch(text))


def find(path: str, data: Any, strict: bool = False) -> list[Any]:
    """All values at a path such as `.status.conditions[?(@.type=="Ready")].status`.

    A strict one does not look behind the end of a list.
    """
    found = [data]
    for step in parse(path.strip().removeprefix("{").removesuffix("}").strip()):
        if strict and step.kind == "index":
            for each in found:
                _check_bounds(each, step.value)
        if step.kind == "union":
            found = [value for steps in step.value for each in found for value in _follow(steps, each)]
        else:
            found = [value for each in found for value in _take(each, step)]
    return found


def _follow(steps: Sequence[Step], data: Any) -> list[Any]:
    found = [data]
    for step in steps:
        found = [value for each in found for value in _take(each, step)]
    return found


def _check_bounds(value: Any, index: int) -> None:
    if isinstance(value, list) and not -len(value) <= index < len(value):
        place = index if index >= 0 else index + len(value)
        raise TemplateError(f"array index out of bounds: index {place}, length {len(value)}")


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
    while (start := template.find("{", position)) >= 0:
        if start > position:
            found.append(("text", template[position:start]))
        end = _end_of_action(template, start + 1)
        found.append(("action", template[start + 1 : end].strip()))
        position = end + 1
    if position < len(template):
        found.append(("text", template[position:]))
    return found


def _end_of_action(template: str, start: int) -> int:
    """Where the brace closes: not inside of quotes."""
    quote, escaped = "", False
    for position in range(start, len(template)):
        character = template[position]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character == "}":
            return position
    if quote:
        raise TemplateError("unterminated quoted string")
    raise TemplateError("unterminated array" if "[" in template[start:] else "unclosed action")


def _render(
    tokens: Sequence[tuple[str, str]], data: Any, root: Any, inside: bool
) -> tuple[str, Sequence[tuple[str, str]]]:
    output = ""
    while tokens:
        (kind, text), tokens = tokens[0], tokens[1:]
        if kind == "text":
            output += text
        elif text.startswith("range"):
            after = _skip(tokens)
            for value in _found(text.removeprefix("range").strip(), data):
                output += _render(tokens, value, root, True)[0]
            tokens = after
        elif text == "end":
            return output, (tokens if inside else [("action", "end")])
        elif text[:1] in "\"'":
            output += _unquoted(text)
        elif CONSTANT.fullmatch(text):
            output += text
        else:
            start = root if text.startswith("$") else data
            output += " ".join(show(value) for value in _found(text, start))
    return output, []


def _found(path: str, data: Any) -> list[Any]:
    """What a path of a template leads to; it begins with a dot, an `@`, a `$` or a bracket."""
    if word := re.match(r"[A-Za-z]\w*", path):
        raise TemplateError(f"unrecognized identifier {word.group()}")
    return find(path, data, strict=True)


def _unquoted(text: str) -> str:
    inner = text[1:-1]
    if text[0] == "'":
        inner = inner.replace("\\'", "'").replace('"', '\\"')
    try:
        return str(json.loads(f'"{inner}"'))
    except ValueError as error:
        raise TemplateError("invalid syntax") from error


def _skip(tokens: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    depth = 1
    for position, (kind, text) in enumerate(tokens):
        if kind == "action" and text.startswith("range"):
            depth += 1
        elif kind == "action" and text == "end":
            depth -= 1
            if depth == 0:
                return tokens[position + 1 :]
    return []  # upstream, too, takes the end of the template for the end of the range


def show(value: Any) -> str:
    """A value as text: plain for words and numbers, JSON for the rest."""
    if isinstance(value, str):
        return value
    return escaped(json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False))


def escaped(text: str) -> str:
    """JSON as Go writes it: three characters that mean something in HTML are escaped."""
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


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
        if not inner.endswith(")"):
            raise TemplateError("unterminated filter")
        condition = inner[2:-1].strip()
        match = FILTER.match(condition)
        if match is None or (match["value"] and re.search(r"&&|\|\|", match["value"])):
            wrong = re.search(r"[&|]", condition)
            character = wrong.group() if wrong else condition[:1]
            raise TemplateError(f"unrecognized character in action: U+{ord(character):04X} '{character}'")
        return Step("filter", (match["path"], match["op"], match["value"]))
    if inner[:1] == "'":
        names = re.findall(r"'((?:\\.|[^'\\])*)'", inner)
        if len(names) > 1:
            return Step("union", [parse(f".{name}") for name in names])
        return Step("field", names[0].replace("\\", "") if names else "")
    if ":" in inner:
        parts = [_number(part) if part else None for part in inner.split(":")]
        return Step("slice", slice(*parts))
    if "," in inner:
        return Step("indexes", [_number(part) for part in inner.split(",")])
    return Step("index", _number(inner))


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise TemplateError(f"invalid array index {text.strip()}") from error


def _take(value: Any, step: Step) -> Iterator[Any]:
    match step.kind:
        case "self":
            yield value
        case "field":
            if isinstance(value, dict) and step.value in value:
                yield value[step.value]
        case "all":
            yield from _below_one(value)
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
    for child in _below_one(value):
        yield from _below(child)


def _below_one(value: Any) -> Sequence[Any]:
    """The values of a map in the order of their keys, or the items of a list."""
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else ()


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
