"""How Go shows values. Numbers of JSON are floats there, those of the template itself are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

NO_VALUE = "<no value>"
MISSING: Any = type("Missing", (), {"__bool__": lambda self: False})()  # a key that a map does not have
_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL)


def of_json(value: Any) -> Any:
    """The same value with its numbers as floats."""
    if isinstance(value, dict):
        return {key: of_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [of_json(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def show(value: Any) -> str:
    """`%v`: words as they are, `map[a:1 b:2]`, `[1 2]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{show(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(show, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float(value)
    return "<nil>" if value is None else str(value)


def _float(value: float) -> str:
    """The shortest digits; a power below 1e-4 and from 1e6 on."""
    if value and not 1e-4 <= abs(value) < 1e6:
        digits, _, power = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return f"{digits}e{power[0]}{power[1:].zfill(2)}"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")


def type_of(value: Any) -> str:
    """Go's name of the type that a value has."""
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    if isinstance(value, dict):
        return "map[string]interface {}"
    return "[]interface {}" if isinstance(value, list) else names.get(type(value), "<nil>")


def is_true(value: Any) -> bool:
    """Nothing, zero and what is empty are false."""
    return bool(value)


def sprint(values: Sequence[Any]) -> str:
    """`print`: a space between two values of which none is a string."""
    text = ""
    for position, value in enumerate(values):
        if position and not isinstance(value, str) and not isinstance(values[position - 1], str):
            text += " "
        text += show(value)
    return text


def sprintf(form: str, values: Sequence[Any]) -> str:
    """`printf`, with Go's complaints inside of the text."""
    left = list(values)

    def fill(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb in ("%", ""):
            return verb or "%!(NOVERB)"
        if not left:
            return f"%!{verb}(MISSING)"
        value = left.pop(0)
        text = _formatted(verb, value, match["flags"], match["precision"])
        if text is None:
            shown = "<nil>" if value is None else f"{type_of(value)}={show(value)}"
            return f"%!{verb}({shown})"
        return _padded(text, match["flags"], int(match["width"] or 0), verb)

    text = _VERB.sub(fill, form)
    extra = ", ".join("<nil>" if each is None else f"{type_of(each)}={show(each)}" for each in left)
    return f"{text}%!(EXTRA {extra})" if left else text


def _formatted(verb: str, value: Any, flags: str, precision: str | None) -> str | None:
    """One value as a verb wants it; None when the two do not fit."""
    if verb == "v":
        return show(value)
    if verb == "T":
        return type_of(value)
    if isinstance(value, list):
        each = [sprintf(f"%{verb}", [one]) for one in value]
        return f"[{' '.join(each)}]"
    makers: dict[type, dict[str, Callable[[], str]]] = {
        str: {
            "s": lambda: value if precision is None else value[: int(precision or 0)],
            "q": lambda: json.dumps(value, ensure_ascii=False),
            "x": lambda: value.encode().hex(),
            "X": lambda: value.encode().hex().upper(),
        },
        bool: {"t": lambda: show(value)},
        int: {
            "d": lambda: f"{value:+d}" if "+" in flags else str(value),
            "x": lambda: f"{value:x}",
            "X": lambda: f"{value:X}",
            "o": lambda: f"{value:o}",
            "b": lambda: f"{value:b}",
            "c": lambda: chr(value),
            "q": lambda: f"'{chr(value)}'",
        },
        float: {
            "f": lambda: f"{value:.{6 if precision is None else int(precision or 0)}f}",
            "F": lambda: f"{value:.{6 if precision is None else int(precision or 0)}f}",
            "e": lambda: f"{value:.{6 if precision is None else int(precision or 0)}e}",
            "g": lambda: show(value) if precision is None else f"{value:.{int(precision or 0)}g}",
        },
    }
    make = makers.get(type(value), {}).get(verb)
    return make() if make else None


def _padded(text: str, flags: str, width: int, verb: str) -> str:
    if "-" in flags:
        return text.ljust(width)
    return text.zfill(width) if "0" in flags and verb in "dfxX" else text.rjust(width)
