"""The macros: `has`, `cel.bind`, loops, and what optionals hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from kubarium.apimachinery.cel import loops, values
from kubarium.apimachinery.cel.libraries.optionals import Optional
from kubarium.apimachinery.cel.nodes import CompileError, Ident, Macro, Node, Select
from kubarium.apimachinery.cel.program import Env, Typed, spend
from kubarium.apimachinery.cel.types import BOOL, DYN, INT, Type, list_of, map_of, optional_of


class Walk(Protocol):
    """What a macro needs of the compiler that walks through the tree."""

    def visit(self, node: Node) -> Typed:
        """Compile one node with all below it."""
        ...

    def inside(
        self, nodes: Sequence[Node], names: Sequence[str], types: Sequence[Type]
    ) -> tuple[list[Typed], list[int]]:
        """Compile with new variables; where they are in the environment."""
        ...

    def field(self, node: Select, operand: Type) -> tuple[Type, str]:
        """Type and key of a field."""
        ...

    def error(self, node: Node, message: str) -> CompileError:
        """A complaint about a node."""
        ...


def _has(walk: Walk, node: Macro) -> Typed:
    """Is the field there?"""
    select = node.args[0]
    assert isinstance(select, Select)
    operand = walk.visit(select.operand)
    inner = operand.type.params[0] if operand.type.kind == "optional" else operand.type
    _, key = walk.field(Select(node.at, select.operand, select.field), inner)
    operand_run, is_object = operand.run, inner.kind == "object"

    def run(env: Env) -> bool:
        value = operand_run(env)
        if is_object and isinstance(value, Mapping):
            return value.get(key) is not None
        if type(value) is dict or isinstance(value, Mapping):
            return key in value
        if isinstance(value, Optional):
            return bool(value.present) and isinstance(value.value, Mapping) and key in value.value
        raise values.no_overload()

    return Typed(BOOL, run, operand.cost)  # to look whether it is there costs nothing


def _bind(walk: Walk, node: Macro) -> Typed:
    """`cel.bind(name, value, expression)`."""
    value = walk.visit(node.args[0])
    with_name, (slot,) = walk.inside(node.args[1:], node.variables, [value.type])
    (body,) = with_name
    value_run, body_run = value.run, body.run

    def run(env: Env) -> Any:
        env[slot] = value_run(env)
        return body_run(env)

    return Typed(body.type, run, value.cost + body.cost)


def _loop(walk: Walk, node: Macro) -> Typed:
    """`target.all(x, p)` and the other macros that go through a list or a map."""
    assert node.target is not None
    target = walk.visit(node.target)
    if target.type.kind == "optional":
        _range(walk, node, target.type)
    keys, values = _range(walk, node, target.type)
    types = [keys, values] if len(node.variables) == 2 else [values if target.type.kind != "map" else keys]
    bodies, slots = walk.inside(node.args, node.variables, types)
    for body in bodies[: len(bodies) if node.name in loops.PREDICATES else len(bodies) - 1]:
        if body.type.kind in ("bool", "dyn"):
            continue
        if node.name in ("all", "exists"):
            raise walk.error(node.args[0], f"expected type 'bool' but found '{body.type}'")
        gathered = _gathered(node, types, bodies)
        text = f"'({body.type}, {gathered}, {gathered})'"
        raise walk.error(node, f"found no matching overload for '_?_:_' applied to {text}")
    result, run = loops.LOOPS[node.name](target.run, slots, bodies)
    if result is None:
        result = list_of(types[0]) if target.type.kind != "list" else target.type
    if node.name == "transformMap":
        result = map_of(types[0], bodies[-1].type)
    return Typed(result, run, target.cost + 1)


def _gathered(node: Macro, types: Sequence[Type], bodies: Sequence[Typed]) -> Type:
    """The type of what a loop with a condition gathers."""
    if node.name in ("exists_one", "existsOne"):
        return INT
    if node.name == "filter":
        return list_of(types[0])
    if node.name in ("map", "transformList"):
        return list_of(bodies[-1].type)
    return map_of(types[0], bodies[-1].type) if node.name == "transformMap" else bodies[-1].type


def _range(walk: Walk, node: Macro, target: Type) -> tuple[Type, Type]:
    if target.kind == "list":
        return INT, target.params[0] if target.params else DYN
    if target.kind == "map":
        return (target.params[0], target.params[1]) if target.params else (DYN, DYN)
    if target.kind in ("dyn", "error"):
        return DYN, DYN
    rule = "(must be list, map, or dynamic)"
    assert node.target is not None
    raise walk.error(node.target, f"expression of type '{target}' cannot be range of a comprehension {rule}")


def _optional_map(walk: Walk, node: Macro) -> Typed:
    """`optional.optMap(x, expression)`, and optFlatMap, whose expression is an optional itwalk."""
    assert node.target is not None
    target = walk.visit(node.target)
    inner = target.type.params[0] if target.type.kind == "optional" and target.type.params else DYN
    (body,), (slot,) = walk.inside(node.args, node.variables, [inner])
    target_run, body_run, flat = target.run, body.run, node.name == "optFlatMap"

    def run(env: Env) -> Any:
        value = target_run(env)
        if not isinstance(value, Optional):
            raise values.no_overload()
        if not value.present:
            return value
        env[slot] = value.value
        spend(env, body.cost)
        made = body_run(env)
        return made if flat else Optional(True, made)

    kept = 0 if isinstance(node.target, Ident) else _KEPT
    return Typed(body.type if flat else optional_of(body.type), run, target.cost + 1 + kept)


_KEPT = 4
"""What it costs to keep the optional in a variable, where it is none already."""


MACROS: dict[str, Callable[[Walk, Macro], Typed]] = {
    "has": _has,
    "bind": _bind,
    "optMap": _optional_map,
    "optFlatMap": _optional_map,
    **dict.fromkeys(loops.LOOPS, _loop),
}
"""What compiles each macro."""
