"""Text: the extended strings of cel-go in version 2, and regular expressions.

Source: https://pkg.go.dev/github.com/google/cel-go/ext#Strings, https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel import conversions, values
from kubarium.apimachinery.cel.call_costs import (
    by_length,
    by_matching,
    by_traversal,
    by_two_passes,
    size_of,
    tenths,
)
from kubarium.apimachinery.cel.functions import EvaluationError, function
from kubarium.apimachinery.cel.standard import compiled_pattern


@function("string.charAt | int -> string")
def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


@function("string.indexOf | string -> int", "string.indexOf | string, int -> int", cost=by_traversal)
def _index_of_text(text: str, part: str, start: int = 0) -> int:
    if start < 0:
        raise EvaluationError(f"index out of range: {start}")
    return text.find(part, start)


@function("string.lastIndexOf | string -> int", "string.lastIndexOf | string, int -> int", cost=by_traversal)
def _last_index_of_text(text: str, part: str, last: int | None = None) -> int:
    if last is not None and last < 0:
        raise EvaluationError(f"index out of range: {last}")
    if last is not None and last > len(text):
        return -1
    return text.rfind(part) if last is None else text.rfind(part, 0, last + len(part))


@function("string.lowerAscii | -> string", cost=by_length)
def _lower(text: str) -> str:
    return re.sub("[A-Z]+", lambda match: match[0].lower(), text)


@function("string.upperAscii | -> string", cost=by_length)
def _upper(text: str) -> str:
    return re.sub("[a-z]+", lambda match: match[0].upper(), text)


@function("string.trim | -> string", cost=by_length)
def _trim(text: str) -> str:
    return text.strip()


@function(
    "string.replace | string, string -> string",
    "string.replace | string, string, int -> string",
    cost=by_two_passes,
)
def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    return text.replace(old, new, count)


@function(
    "string.split | string -> list(string)", "string.split | string, int -> list(string)", cost=by_two_passes
)
def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if not separator:
        parts = list(text)
        return (
            parts if limit < 0 or len(parts) <= limit else [*parts[: limit - 1], "".join(parts[limit - 1 :])]
        )
    return text.split(separator, limit - 1 if limit > 0 else -1)


@function("string.substring | int -> string", "string.substring | int, int -> string", cost=by_length)
def _substring(text: str, start: int, end: int | None = None) -> str:
    stop = len(text) if end is None else end
    if not 0 <= start <= len(text) or not 0 <= stop <= len(text):
        raise EvaluationError(f"index out of range: {start if not 0 <= start <= len(text) else stop}")
    if start > stop:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {stop}")
    return text[start:stop]


def _joining(items: Sequence[str], separator: str = "") -> int:
    made = sum(size_of(item) for item in items) + len(separator) * max(len(items) - 1, 0)
    return tenths(2 * made)


@function("list(string).join | -> string", "list(string).join | string -> string", cost=_joining)
def _join(items: Sequence[str], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise values.no_overload()
    return separator.join(items)


_QUOTED = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
    "\\": "\\\\", '"': '\\"',
}  # fmt: skip


@function("strings::quote | string -> string", cost=by_length)
def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(character, character) for character in text) + '"'


_VERB = re.compile(r"%(?:%|(?:\.(\d+))?([a-zA-Z]))")


@function("string.format | list(dyn) -> string", cost=by_length)
def _format(text: str, args: Sequence[Any]) -> str:
    rest = list(args)

    def replace(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        if not rest:
            raise EvaluationError(f"index {len(args)} out of range")
        return _formatted(rest.pop(0), match[2], match[1])

    return _VERB.sub(replace, text)


_TIMES = "\u00d7"
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def _formatted(value: Any, verb: str, precision: str | None) -> str:
    digits = int(precision) if precision is not None else 6
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if verb == "s":
        return _shown(value)
    if verb == "d" and isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if verb == "f" and number:
        return f"{value:.{digits}f}"
    if verb == "e" and number:
        mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
        return f"{mantissa}{_TIMES}10{exponent.lstrip('+').translate(_RAISED)}"
    if verb == "b" and isinstance(value, int):
        return f"{int(value):b}"
    if verb == "o" and isinstance(value, int):
        return f"{int(value):o}"
    if verb in ("x", "X"):
        data = value.encode() if isinstance(value, str) else value
        shown = f"{data:x}" if isinstance(data, int) else bytes(data).hex()
        return shown.upper() if verb == "X" else shown
    raise EvaluationError(f'error during formatting: unrecognized formatting clause "{verb}"')


def _shown(value: Any, *, inside: bool = False) -> str:
    """A value as text; within lists and maps, texts are quoted."""
    if isinstance(value, list):
        return f"[{', '.join(_shown(item, inside=True) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = sorted((_shown(key, inside=True), _shown(item, inside=True)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"
    if inside and isinstance(value, str):
        return _quote(value)
    return "null" if value is None else conversions.to_string(value)


@function(
    "string.find | string -> string",
    cost=by_matching,
)
def _find(text: str, pattern: str) -> str:
    match = compiled_pattern(pattern).search(text)
    return match.group() if match is not None else ""


@function(
    "string.findAll | string -> list(string)",
    "string.findAll | string, int -> list(string)",
    cost=by_matching,
)
def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found = [match.group() for match in compiled_pattern(pattern).finditer(text)]
    return found if limit < 0 else found[:limit]
