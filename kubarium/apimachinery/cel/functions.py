"""Functions of CEL as rows of tables: a signature, what it computes, what a call costs if that is not one unit.

    @function("string.split | string, int -> list(string)", cost=by_length)

The part before the dot is the type of the target. Capital letters stand for any type, the same one throughout a
signature. `sets::contains` is a function in a namespace, called as `sets.contains(a, b)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from kubarium.apimachinery.cel.nodes import UInt
from kubarium.apimachinery.cel.times import Duration, Timestamp
from kubarium.apimachinery.cel.types import DYN, Type, list_of, map_of, named, optional_of

Run = Callable[..., Any]
Cost = Callable[..., int]


class EvaluationError(Exception):
    """The expression has no value for these bindings."""


class CostExceeded(Exception):
    """The expression would take too long."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


class Overload(NamedTuple):
    """One signature of a function. A target, if there is one, is the first parameter."""

    name: str
    member: bool
    params: tuple[Type, ...]
    result: Type
    run: Run
    cost: Cost | None


FUNCTIONS: dict[str, list[Overload]] = {}
"""All functions and operators by name."""

CLASSES: dict[str, type] = {
    "bool": bool, "string": str, "bytes": bytes, "double": float, "list": list, "timestamp": Timestamp,
    "duration": Duration, "uint": UInt, "null": type(None), "type": Type, "map": Mapping, "object": Mapping,
}  # fmt: skip
"""The Python type of each kind; `int` is asked for exactly, because bool and UInt are ints in Python."""

Function = TypeVar("Function", bound=Run)


def function(*signatures: str, cost: Cost | None = None) -> Callable[[Function], Function]:
    """Enter a Python function into the table under one or several signatures."""

    def enter(run: Function) -> Function:
        for signature in signatures:
            overload = _overload(signature, run, cost)
            FUNCTIONS.setdefault(overload.name, []).append(overload)
        return run

    return enter


def _overload(signature: str, run: Run, cost: Cost | None) -> Overload:
    head, _, result = signature.rpartition(" -> ")
    before, _, params = head.partition("|")
    name, target = before.strip(), ""
    if "." in name:
        target, _, name = name.rpartition(".")
    name = name.replace("::", ".")
    types = [_type(text) for text in ([target] if target else []) + _split(params)]
    return Overload(name, bool(target), tuple(types), _type(result), run, cost)


def _split(text: str) -> list[str]:
    """The parts between the outer commas."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


@lru_cache(None)
def _type(text: str) -> Type:
    text = text.strip()
    if text.endswith(")"):
        kind, _, rest = text[:-1].partition("(")
        params = [_type(part) for part in _split(rest)]
        if kind == "list":
            return list_of(params[0])
        return map_of(params[0], params[1]) if kind == "map" else optional_of(params[0])
    return named(text)


def _is_variable(wanted: Type) -> bool:
    return len(wanted.kind) == 1 and wanted.kind.isupper()


def result_of(overload: Overload, args: Sequence[Type]) -> Type | None:
    """The result's type when the overload can take these arguments, else None."""
    if len(args) != len(overload.params):
        return None
    bound: dict[str, Type] = {}
    for wanted, given in zip(overload.params, args, strict=True):
        if not _fits(wanted, given, bound):
            return None
    return _substitute(overload.result, bound)


def _fits(wanted: Type, given: Type, bound: dict[str, Type]) -> bool:
    if _is_variable(wanted):
        before = bound.get(wanted.kind)
        if before is None or before.kind == "dyn" or before.kind == "null":
            bound[wanted.kind] = given
            return True
        return compatible(before, given)
    if given.kind == "dyn" or wanted.kind == "dyn":
        return True
    if wanted.kind != given.kind:
        # A typed object may be used where a map is wanted only through dyn.
        return False
    return all(_fits(inner, outer, bound) for inner, outer in zip(wanted.params, given.params, strict=False))


_NEVER_NULL = frozenset(("bool", "int", "uint", "double", "string", "bytes", "list", "map"))


def compatible(left: Type, right: Type) -> bool:
    """May a value of the one type stand where the other is expected?"""
    if "dyn" in (left.kind, right.kind):
        return True
    if "null" in (left.kind, right.kind):
        return not _NEVER_NULL & {left.kind, right.kind}
    if left.kind != right.kind:
        return False
    return all(compatible(a, b) for a, b in zip(left.params, right.params, strict=False))


def join(types: Sequence[Type]) -> Type:
    """The type of a list with items of these types."""
    first = types[0] if types else DYN
    if any(str(item) != str(first) for item in types):
        return DYN
    return first


def _substitute(result: Type, bound: Mapping[str, Type]) -> Type:
    if _is_variable(result):
        return bound.get(result.kind, DYN)
    if result.params:
        return Type(result.kind, tuple(_substitute(param, bound) for param in result.params), result.name)
    return result


def accepts(kind: Type, value: Any) -> bool:
    """Is a value, found while running, of a parameter's type?"""
    if kind.kind == "dyn" or _is_variable(kind):
        return True
    if kind.kind == "int":
        return type(value) is int
    wanted = CLASSES.get(kind.kind)
    return wanted is None or isinstance(value, wanted)


def register_class(kind: str, python: type) -> None:
    """Tell which Python class stands for a library's type."""
    CLASSES[kind] = python
