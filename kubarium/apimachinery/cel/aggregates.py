"""Lists, maps and structs that an expression makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from kubarium.apimachinery.cel import structs
from kubarium.apimachinery.cel.functions import EvaluationError, compatible, join
from kubarium.apimachinery.cel.literals import is_empty
from kubarium.apimachinery.cel.macros import Walk
from kubarium.apimachinery.cel.nodes import CompileError, MakeList, MakeMap, MakeStruct, Node
from kubarium.apimachinery.cel.program import Env, Typed
from kubarium.apimachinery.cel.types import DYN, Type, list_of, map_of, optional_of, unescape


class Makers(Walk, Protocol):
    """What is needed besides of the compiler that walks through the tree."""

    errors: list[CompileError]
    bad_literals: list[CompileError]
    mixed: set[int]
    mutations: bool


def make_list(walk: Makers, node: MakeList) -> Typed:
    """`[a, b]`."""
    items = [walk.visit(item) for item in node.items]
    types = [
        _unwrapped(walk, node.items[index], item.type) if index in node.optional else item.type
        for index, item in enumerate(items)
    ]
    if id(node) not in walk.mixed:
        _alike(walk, node.items, types)
    runs, optional = [item.run for item in items], node.optional
    is_constant = not optional and all(item.is_constant for item in items)
    cost = 0 if is_constant else sum(item.cost for item in items) + 10
    if not optional:
        return Typed(list_of(join(types)), lambda env: [run(env) for run in runs], cost, is_constant)

    def run(env: Env) -> list[Any]:
        made = []
        for index, item in enumerate(runs):
            value = item(env)
            if index not in optional:
                made.append(value)
            elif value.present:
                made.append(value.value)
        return made

    return Typed(list_of(join(types)), run, cost)


def _alike(walk: Makers, nodes: Sequence[Node], types: Sequence[Type]) -> None:
    """What stands in a list or a map is of one type; `dyn()` is for those who want others."""
    for node, kind in zip(nodes, types, strict=True):
        open_ended = is_empty(node) or is_empty(nodes[0]) or "optional" in (kind.kind, types[0].kind)
        if str(kind) != str(types[0]) and not (open_ended and compatible(kind, types[0])):
            walk.bad_literals.append(walk.error(node, f"expected type '{types[0]}' but found '{kind}'"))
            return


def _unwrapped(walk: Makers, node: Node, kind: Type) -> Type:
    """The type of what stands after a `?`: it must be an optional."""
    if kind.kind == "optional":
        return kind.params[0] if kind.params else DYN
    if kind.kind != "dyn":
        walk.errors.append(walk.error(node, f"expected type '{optional_of(kind)}' but found '{kind}'"))
    return kind


def make_map(walk: Makers, node: MakeMap) -> Typed:
    """`{a: b}`."""
    entries = [(walk.visit(key), walk.visit(value), optional) for key, value, optional in node.entries]
    key_types = [key.type for key, _, _ in entries]
    value_types = [
        _unwrapped(walk, given, value.type) if optional else value.type
        for (_, value, optional), (_, given, _) in zip(entries, node.entries, strict=True)
    ]
    if id(node) not in walk.mixed:
        _alike(walk, [key for key, _, _ in node.entries], key_types)
        _alike(walk, [value for _, value, _ in node.entries], value_types)
    keys, values = join(key_types), join(value_types)
    runs = [(key.run, value.run, optional) for key, value, optional in entries]

    def run(env: Env) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for key_run, value_run, optional in runs:
            key, value = key_run(env), value_run(env)
            if key in made:
                raise EvaluationError(f"Failed with repeated key: {key}")
            if not optional:
                made[key] = value
            elif value.present:
                made[key] = value.value
        return made

    is_constant = all(k.is_constant and v.is_constant and not optional for k, v, optional in entries)
    cost = 0 if is_constant else sum(k.cost + v.cost for k, v, _ in entries) + 30
    return Typed(map_of(keys, values), run, cost, is_constant)


def make_struct(walk: Makers, node: MakeStruct) -> Typed:
    """`Object{...}` and `JSONPatch{...}`, of mutating policies."""
    known = node.name.split(".")[0] in (structs.OBJECT, structs.JSON_PATCH)
    if not known or not walk.mutations:
        raise walk.error(node, f"undeclared reference to '{node.name}' (in container '')")
    fields = [(unescape(name), walk.visit(value), optional) for name, value, optional in node.fields]
    for (name, given, optional), (_, value, _) in zip(fields, node.fields, strict=True):
        wanted = structs.field_type(node.name, name)
        if wanted is None:
            raise walk.error(value, f"undefined field '{name}'")
        if not optional and not compatible(wanted, given.type):
            text = f"expected type of field '{name}' is '{wanted}' but provided type is '{given.type}'"
            raise walk.error(value, text)

    def run(env: Env) -> structs.Struct:
        made = structs.Struct(node.name)
        for name, typed, optional in fields:
            value = typed.run(env)
            if not optional:
                made[name] = value
            elif value.present:
                made[name] = value.value
        return made

    return Typed(Type("dyn", (), node.name), run, sum(typed.cost for _, typed, _ in fields) + 40)
