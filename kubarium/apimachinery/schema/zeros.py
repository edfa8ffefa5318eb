"""The zeros of typed structs: those that are never written, and those that always are.

A `false`, a `0` or a `""` that says no more than nothing is a plain value in Go that is omitted when it is
empty; where zero means something of its own, the field is a pointer. Clients in Go never send such zeros
back, so that an object must not be kept with them. Other fields stand in JSON whatever is in them: structs
(`resources: {}`), times (`lastProbeTime: null`), and what is not marked to be omitted. Which fields are of
which sort is known from the table of protobuf fields.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.group_version import GroupVersionKind
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.table import fields_always_written, fields_without_zeros
from kubarium.apimachinery.schema.catalog import Catalog
from kubarium.apimachinery.schema.structural import Structural

_KEPT_AS_PROTOBUF = "io.k8s.api."
"""Packages whose objects upstream keeps as protobuf, in which an empty list is no list."""

Walk = Callable[[Any], None]
"""Takes a struct, a list or a map and settles it and what is below it, in place."""


def settle(obj: Object, gvk: GroupVersionKind, catalog: Catalog) -> None:
    """Drop the zeros that are never written and fill in those that always are, in an object of a built-in kind."""
    name = catalog.definition_name(gvk)
    if name is not None:
        walk = _walk_of(catalog, catalog.definition(name))
        if walk is not None:
            walk(obj)


# The walks of each catalog by the names of definitions; None where there is nothing to be done.
_known: dict[int, tuple[Catalog, dict[str, Walk | None]]] = {}


def _walk_of(catalog: Catalog, node: Structural) -> Walk | None:
    if not node.name:
        return _made(catalog, node)
    walks = _known.setdefault(id(catalog), (catalog, {}))[1]
    if node.name not in walks:

        def later(value: Any) -> None:
            """Stands in until the real one is made, because a definition may contain itself."""
            walk = walks[node.name]
            if walk is not None:
                walk(value)

        walks[node.name] = later
        walks[node.name] = _made(catalog, node)
    return walks[node.name]


def _made(catalog: Catalog, node: Structural) -> Walk | None:
    if node.properties:
        below = ((key, _walk_of(catalog, child)) for key, child in node.properties.items())
        always = {
            key: empty for key, empty in fields_always_written(node.name).items() if key in node.properties
        }
        deep = {key: walk for key, walk in below if walk is not None}
        lists = {key for key, child in node.properties.items() if child.items is not None}
        nulls = lists & always.keys() if node.name.startswith(_KEPT_AS_PROTOBUF) else set()
        return _struct(fields_without_zeros(node.name), always, frozenset(nulls), deep)
    item = node.additional or node.items
    walk = _walk_of(catalog, item) if item is not None else None
    if walk is None:
        return None
    return _each_value(walk) if node.additional is not None else _each_item(walk)


def _struct(
    zeros: frozenset[str], always: dict[str, Any], nulls: frozenset[str], deep: dict[str, Walk]
) -> Walk | None:
    if not zeros and not always and not deep:
        return None
    walk_of = deep.get

    def walk(value: Any) -> None:
        if type(value) is not dict:
            return
        for key in always:
            if key not in value:
                empty = always[key]
                value[key] = {} if empty == {} else empty
        dropped: list[str] | None = None
        for key, child in value.items():
            if child or child == {}:
                step = walk_of(key)
                if step is not None:
                    step(child)
            elif key in nulls:
                value[key] = None
            elif key in zeros:
                dropped = [*(dropped or ()), key]
        for key in dropped or ():
            del value[key]

    return walk


def _each_item(walk: Walk) -> Walk:
    def each(value: Any) -> None:
        for item in value:
            walk(item)

    return each


def _each_value(walk: Walk) -> Walk:
    def each(value: Any) -> None:
        for item in value.values():
            walk(item)

    return each
