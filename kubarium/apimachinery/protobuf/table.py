"""Which message a kind is, and which number, name and type its fields have: `fields.txt`, read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

MAGIC = b"k8s\x00"
SAME_MESSAGE = {("policy/v1beta1", "Eviction"): "policy/v1"}
"""Kinds of versions that are not served any more but still read, field by field like a newer one."""

TYPES = frozenset((
    "s", "S", "i", "I", "b", "B", "D", "y", "quantity", "intOrString", "time", "microTime", "duration", "raw",
    "strings", "schemaOrArray", "schemaOrBool", "schemaOrStringArray",
))  # fmt: skip
"""What is not a message of the table."""


class Field(NamedTuple):
    """One field of a message, as its line says."""

    number: int
    name: str
    shape: str
    """Nothing, `*` repeated, `%` map, `^` inline."""
    kind: str
    """A type of the table, or the message: `alias.Message`."""
    always: bool
    """JSON has the field whatever is in it."""


class _Table(NamedTuple):
    """`alias.Message` -> its line; apiVersion -> alias; alias -> the alias whose messages it shares."""

    lines: dict[str, str]
    aliases: dict[str, str]
    shared: dict[str, str]


@lru_cache(1)
def _table() -> _Table:
    lines: dict[str, str] = {}
    aliases: dict[str, str] = {}
    shared: dict[str, str] = {}
    alias = ""
    text = resources.files(__package__).joinpath("fields.txt").read_text()
    for line in text.splitlines():
        if line.startswith("["):
            alias, api_version, *other = line.strip("[]").split()
            aliases[api_version] = alias
            if other:
                shared[alias] = other[0]
        elif line and not line.startswith("#"):
            name, _, fields = line.partition(" ")
            lines[f"{alias}.{name}"] = fields
    return _Table(lines, aliases, shared)


def message_of(api_version: str, kind: str) -> str | None:
    """The message of a kind; options, Status and WatchEvent are served in every group."""
    alias = _table().aliases.get(api_version)
    candidates = [f"{alias}.{kind}"] if alias else []
    candidates.append(f"meta.{kind}")
    return next((name for name in candidates if line_of(name) is not None), None)


def line_of(name: str) -> str | None:
    """A message's line, from its own package or the one that it shares; lists follow from their items."""
    table = _table()
    alias, _, message = name.partition(".")
    item = message.removesuffix("List")
    while alias:
        line = table.lines.get(f"{alias}.{message}")
        if line is None and item != message and f"{alias}.{item}" in table.lines:
            line = f"1:metadata:meta.ListMeta! 2:items:*{item}"
        if line is not None:
            return line
        alias = table.shared.get(alias, "")
    return None


_DEFINITION = re.compile(r"io\.k8s\.(?:.*\.)?(?:api|apis)\.([a-z]+)\.(v[a-z0-9]+)\.(\w+)")


def fields_without_zeros(definition: str) -> frozenset[str]:
    """Fields of a published definition in which `false`, `0` and `""` are the same as nothing, and never written.

    `io.k8s.api.core.v1.PodSpec` -> hostNetwork, nodeName, …; empty where the definition is not known.
    """
    return frozenset(
        field.name
        for field in _json_fields(definition)
        if field.kind in ("s", "i", "b", "y") and not field.shape and not field.always
    )


def fields_always_written(definition: str) -> dict[str, Any]:
    """Fields of a published definition that JSON always has, with what they are when nothing was said.

    `io.k8s.api.core.v1.PodCondition` -> {"type": "", "status": "", "lastProbeTime": None, …}; a message is `{}`.
    """
    return {field.name: _empty(field) for field in _json_fields(definition) if field.always}


def zeros_published(definition: str) -> dict[str, Any]:
    """Those of them that published schemas name as defaults: plain zeros, and `{}` for structs."""
    return {
        field.name: {} if field.kind not in TYPES else _EMPTY[field.kind]
        for field in _json_fields(definition)
        if field.always and not field.shape and (field.kind in ("S", "I", "B") or field.kind not in TYPES)
    }


_EMPTY: dict[str, Any] = {
    "S": "", "I": 0, "B": False, "D": 0, "quantity": "0", "intOrString": 0, "duration": "0s",
    "y": None, "time": None, "microTime": None, "raw": None, "strings": None,
}  # fmt: skip


def _empty(field: Field) -> Any:
    return None if field.shape else _EMPTY.get(field.kind, {})


def _json_fields(definition: str) -> Iterator[Field]:
    """The fields of a published definition, those of inline messages among them."""
    match = _DEFINITION.fullmatch(definition)
    if match is None:
        return
    package, version, message = match.groups()
    names = (f"{package}_{version}.{message}", f"{package}.{message}")
    name = next((name for name in names if line_of(name) is not None), None)
    if name is not None:
        yield from _flat(name)


def _flat(name: str) -> Iterator[Field]:
    for field in fields_of(name):
        if field.shape == "^":
            yield from _flat(field.kind)
        else:
            yield field


@lru_cache(None)
def fields_of(name: str) -> tuple[Field, ...]:
    """The fields of a message by their numbers. Raises KeyError."""
    line = line_of(name)
    if line is None:
        raise KeyError(name)
    alias = name.partition(".")[0]
    found = []
    for entry in line.split():
        number, field, kind = entry.split(":", 2)
        shape = kind[0] if kind[0] in "*%^" else ""
        always = kind[-1] == "!"
        kind = kind.removeprefix(shape).removesuffix("!")
        if kind not in TYPES and "." not in kind:
            kind = f"{alias}.{kind}"
        found.append(Field(int(number), field, shape, kind, always))
    return tuple(sorted(found))
