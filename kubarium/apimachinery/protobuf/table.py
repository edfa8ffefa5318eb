"""Which message a kind is, and which number, name and type its fields have: `fields.txt`, read."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

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
            line = f"1:metadata:meta.ListMeta 2:items:*{item}"
        if line is not None:
            return line
        alias = table.shared.get(alias, "")
    return None


_DEFINITION = re.compile(r"io\.k8s\.(?:.*\.)?(?:api|apis)\.([a-z]+)\.(v[a-z0-9]+)\.(\w+)")


def fields_without_zeros(definition: str) -> frozenset[str]:
    """Fields of a published definition in which `false`, `0` and `""` are the same as nothing, and never written.

    `io.k8s.api.core.v1.PodSpec` -> hostNetwork, nodeName, …; empty where the definition is not known.
    """
    match = _DEFINITION.fullmatch(definition)
    if match is None:
        return frozenset()
    package, version, message = match.groups()
    names = (f"{package}.{message}", f"{package}_{version}.{message}")
    line = next((line for name in reversed(names) if (line := line_of(name)) is not None), "")
    entries = (entry.split(":", 2) for entry in line.split())
    return frozenset(field for _, field, kind in entries if kind in ("s", "i", "b"))


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
        kind = kind.removeprefix(shape)
        if kind not in TYPES and "." not in kind:
            kind = f"{alias}.{kind}"
        found.append(Field(int(number), field, shape, kind))
    return tuple(sorted(found))
