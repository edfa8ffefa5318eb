"""Closures that reach into values: variables, fields, items, also of optionals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kubarium.apimachinery.cel import conversions, values
from kubarium.apimachinery.cel.functions import EvaluationError
from kubarium.apimachinery.cel.libraries import encodings
from kubarium.apimachinery.cel.libraries.optionals import NONE, Optional
from kubarium.apimachinery.cel.program import UNBOUND, Env, Run, Typed, spend
from kubarium.apimachinery.cel.times import Duration, Timestamp
from kubarium.apimachinery.cel.types import Type


def variable_run(slot: int, name: str, convert: Callable[[Any], Any] | None) -> Run:
    """The value of a variable."""

    def run(env: Env) -> Any:
        value = env[slot]
        if value is UNBOUND:
            raise EvaluationError(f"no such attribute(s): {name}")
        return value if convert is None or value is None else convert(value)

    return run


def property_run(operand: Run, key: str, name: str, convert: Callable[[Any], Any] | None) -> Run:
    """A field of an object, as its schema has it: null is as good as nothing. Rules call it by its `name`."""

    def run(env: Env) -> Any:
        value = operand(env)
        found = value.get(key) if isinstance(value, Mapping) else None
        if found is None:
            raise _missing(value, name)
        return found if convert is None else convert(found)

    return run


def field_run(operand: Run, key: str, convert: Callable[[Any], Any] | None) -> Run:
    """A field of what `operand` computes."""

    def run(env: Env) -> Any:
        value = operand(env)
        try:
            found = value[key]
        except (KeyError, TypeError, IndexError):
            raise _missing(value, key) from None
        return found if convert is None or found is None else convert(found)

    def run_plain(env: Env) -> Any:
        value = operand(env)
        if type(value) is dict and key in value:
            return value[key]
        if isinstance(value, Mapping) and key in value:
            return value[key]
        raise _missing(value, key)

    return run_plain if convert is None else run


def _missing(value: Any, key: str) -> EvaluationError:
    return EvaluationError(f"no such key: {key}") if isinstance(value, Mapping) else values.no_overload()


def converter(kind: Type) -> Callable[[Any], Any] | None:
    """From what JSON has to what CEL has, where they differ."""
    if kind.kind == "timestamp":
        return lambda value: value if isinstance(value, Timestamp) else conversions.parse_timestamp(value)
    if kind.kind == "duration":
        return lambda value: value if isinstance(value, Duration) else conversions.parse_duration(value)
    if kind.kind == "bytes":
        return encodings.from_base64
    if kind.kind == "double":
        return lambda value: float(value) if type(value) is int else value
    inner = converter(kind.params[-1]) if kind.kind in ("list", "map") and kind.params else None
    if inner is None:
        return None
    if kind.kind == "list":
        return lambda values: [inner(value) for value in values]
    return lambda values: {key: inner(value) for key, value in values.items()}


def wrapped(operand: Run) -> Run:
    """The value as an optional that is there."""
    return lambda env: Optional(True, operand(env))


def _absent(env: Env) -> Optional:
    """Nothing: a step that does not lead on costs nothing."""
    env[0] += 1
    return NONE


def optional_field(operand: Run, key: str, field: Type) -> Run:
    """A field of an optional."""
    convert = converter(field)

    def run(env: Env) -> Optional:
        value = operand(env)
        found = value.value.get(key) if isinstance(value.value, Mapping) else None
        if not value.present or found is None:
            return _absent(env)
        return Optional(True, convert(found) if convert is not None else found)

    return run


def otherwise(operand: Run, other: Typed, *, whole: bool) -> Run:
    """What an optional holds, or is as a `whole`; the other value is computed only if it is absent."""

    def run(env: Env) -> Any:
        value = operand(env)
        if value.present:
            return value if whole else value.value
        spend(env, other.cost)
        return other.run(env)

    return run


def optional_item(operand: Run, key: Run) -> Run:
    """An item or entry of an optional."""

    def run(env: Env) -> Optional:
        value = operand(env)
        if not value.present:
            return _absent(env)
        step, inner = key(env), value.value
        if isinstance(inner, Mapping):
            return Optional(True, inner[step]) if step in inner else _absent(env)
        if isinstance(inner, list) and type(step) is int:
            return Optional(True, inner[step]) if 0 <= step < len(inner) else _absent(env)
        raise values.no_overload()

    return run
