"""What an expression may cost at most, by the sizes that its schema allows.

Definitions with rules that may cost too much are refused, so that the figures must be those of upstream: those of
cel-go for the language and of Kubernetes for its libraries. A size is the number of characters, items or entries; that
of a value which is reached by a path from a variable is what its schema says.

Source: https://pkg.go.dev/github.com/google/cel-go/checker#Cost,
https://kubernetes.io/docs/reference/using-api/cel/#resource-use-by-cel-functions
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kubarium.apimachinery.cel.function_costs import FUNCTIONS, HIGHEST, capped
from kubarium.apimachinery.cel.nodes import (
    Call,
    Ident,
    Literal,
    Macro,
    MakeList,
    MakeMap,
    MakeStruct,
    Node,
    Select,
)
from kubarium.apimachinery.cel.types import DYN, Type

_LIST, _MAP, _STRUCT = 10, 30, 40
_REACHING = ("_[_]", "_[?_]", "value", "orValue", "or")  # what they give stands in the object
_SCALARS = ("bool", "double", "duration", "int", "timestamp", "uint", "null", "type")
_TEXTS = ("string", "bytes")


class Estimator:
    """Walks through a syntax tree whose types are known. Costs are upper bounds."""

    def __init__(self, types: Mapping[int, Type], root_size: int) -> None:
        """`types` are the types of the nodes, by their `id`.

        `root_size` is that of the value that a rule is about: upstream takes it for the size of what lists hold that
        stand nowhere in the object.
        """
        self._types = types
        self._root_size = root_size
        self._sizes: dict[int, int] = {}  # of what functions and macros make
        self._item_sizes: dict[int, int] = {}  # of what lists hold that functions and macros make
        self._paths: set[int] = set()  # nodes that are reached by a path from a variable
        self._locals: dict[str, int | None] = {}  # variables of macros: their size; None: as their type says

    def cost(self, node: Node) -> int:
        """The cost of a node with all below it."""
        match node:
            case Literal():
                return 0
            case Ident():
                size = self._locals.get(node.name)
                if size is None:
                    self._paths.add(id(node))
                else:
                    self._sizes[id(node)] = size
                return 1
            case Select():
                return self._select(node)
            case Call():
                return self._call(node)
            case Macro():
                return _MACROS[node.name](self, node)
            case MakeList():
                self._sizes[id(node)] = len(node.items)
                cost = self._sum(node.items) + _LIST
                self._item_sizes[id(node)] = max((self.size(item) for item in node.items), default=0)
                return cost
            case MakeMap():
                self._sizes[id(node)] = len(node.entries)
                return self._sum([part for key, value, _ in node.entries for part in (key, value)]) + _MAP
            case MakeStruct():
                return self._sum([value for _, value, _ in node.fields]) + _STRUCT
        raise TypeError(f"no cost of {type(node).__name__}")

    def size(self, node: Node) -> int:
        """How many characters, items or entries a value may have."""
        if isinstance(node, Literal):
            return len(node.value) if isinstance(node.value, str | bytes) else 1
        made = self._sizes.get(id(node))
        if made is not None:
            return made
        kind = self._type(node)
        if id(node) in self._paths:
            return kind.size or 0
        return 1 if kind.kind in _SCALARS else HIGHEST

    def item_size(self, node: Node) -> int:
        """The same for what a list holds."""
        made = self._item_sizes.get(id(node))
        if made is not None:
            return made
        kind = self._type(node)
        inner = kind.params[0] if kind.kind == "list" and kind.params else DYN
        if id(node) in self._paths:
            return inner.size or 0
        return 1 if inner.kind in _SCALARS else HIGHEST

    def declared_item_size(self, node: Node) -> int:
        """How large the items are by the schema; nothing is known of those that are made."""
        kind = self._type(node)
        inner = kind.params[0] if kind.kind == "list" and kind.params else DYN
        return (inner.size or 0) if id(node) in self._paths else HIGHEST

    def holds_texts(self, node: Node) -> bool:
        """Is it a list of texts?"""
        kind = self._type(node)
        return bool(kind.params) and kind.params[0].kind in _TEXTS

    def _type(self, node: Node) -> Type:
        return self._types.get(id(node), DYN)

    def _sum(self, nodes: Sequence[Node]) -> int:
        return capped(sum(self.cost(node) for node in nodes))

    def _select(self, node: Select) -> int:
        cost, kind = self.cost(node.operand), self._type(node.operand).kind
        if (
            id(node.operand) in self._paths and kind == "object"
        ):  # what stands in a map has no path by its name
            self._paths.add(id(node))
        return cost + (1 if kind in ("map", "object") or node.optional else 0)

    def _call(self, node: Call) -> int:
        if node.function in ("_&&_", "_||_"):
            return self._sum(node.args)
        if node.function == "_?_:_":
            condition, yes, no = node.args
            cost = self.cost(condition) + max(self.cost(yes), self.cost(no))
            self._sizes[id(node)] = max(self.size(yes), self.size(no))
            return capped(cost)
        given = (
            [node.target, *node.args]
            if node.target is not None and self._is_value(node.target)
            else node.args
        )
        cost = self._sum(given)
        if node.function in _REACHING and given and id(given[0]) in self._paths:
            self._paths.add(id(node))
        own, made = self._function(node, given)
        if (
            node.function == "_[_]"
            and self._type(given[0]).kind == "list"
            and id(given[0]) not in self._paths
        ):
            made = self._root_size
        if made is not None:
            self._sizes[id(node)] = made
        return capped(cost + own)

    def _is_value(self, target: Node) -> bool:
        """Is it the target of a method, or the name of a library?"""
        return not isinstance(target, Ident) or id(target) in self._types

    def _function(self, node: Call, given: Sequence[Node]) -> tuple[int, int | None]:
        """The cost of a function itself, and the size of what it makes."""
        sizes = [self.size(argument) for argument in given]
        kinds = [self._type(argument).kind for argument in given]
        name = node.function
        if isinstance(node.target, Ident) and not self._is_value(node.target):
            name = f"{node.target.name}.{name}"
        estimate = FUNCTIONS.get(name)
        if name in ("split", "findAll"):
            self._item_sizes[id(node)] = sizes[0]
        if estimate is not None:
            found = estimate(self, given, kinds, sizes)
            if found is not None:
                return found
        return 1, None

    # ---------------------------------------------------------------------------------------------------- macros

    def _has(self, node: Macro) -> int:
        select = node.args[0]
        assert isinstance(select, Select)
        return self.cost(select.operand)  # the test itself is free

    def _bind(self, node: Macro) -> int:
        before, value = dict(self._locals), node.args[0]
        cost = self.cost(value)
        self._locals[node.variables[0]] = None if id(value) in self._paths else self.size(value)
        cost += self.cost(node.args[1]) + _LIST
        self._locals = before
        return capped(cost)

    def _optional(self, node: Macro) -> int:
        """`target.hasValue() ? optional.of(expression over target.value()) : optional.none()`."""
        assert node.target is not None
        target, before = self.cost(node.target), dict(self._locals)
        kept = 0
        if not isinstance(node.target, Ident):  # it is computed once, and kept in a variable
            target, kept = 1, target + _LIST
        self._locals[node.variables[0]] = HIGHEST
        inner = _LIST + target + 1 + self.cost(node.args[0])
        self._locals = before
        return capped(kept + target + 1 + max(inner + (1 if node.name == "optMap" else 0), 1))

    def _loop(self, node: Macro) -> int:
        assert node.target is not None
        cost = self.cost(node.target)
        before, count = dict(self._locals), self.size(node.target)
        inner = None if id(node.target) in self._paths else self._root_size
        if self._type(node.target).kind == "dyn":
            inner = HIGHEST  # nothing is known of what it holds
        for name in node.variables:
            self._locals[name] = inner
        start, turn, end = self._turn(node)
        self._locals = before
        if node.name in ("map", "filter", "transformList", "transformMap", "transformMapEntry"):
            self._sizes[id(node)] = count
            kept = self.item_size(node.target) if node.name == "filter" else self.size(node.args[-1])
            self._item_sizes[id(node)] = kept
        return capped(cost + start + end + count * turn)

    def _turn(self, node: Macro) -> tuple[int, int, int]:
        """What a loop costs at its start, at each turn, and at its end."""
        bodies = [self.cost(body) for body in node.args]
        match node.name:
            case "all":
                return 0, 2 + 1 + bodies[0], 1
            case "exists":
                return 0, 3 + 1 + bodies[0], 1
            case "exists_one" | "existsOne":
                return 0, bodies[0] + 2, 2
            case "filter":
                return _LIST, bodies[0] + 13, 1
            case "map" | "transformList":
                made = 2 + _LIST + bodies[-1]
                return _LIST, (bodies[0] + made if len(bodies) == 2 else made), 1
        made = (3 if node.name == "transformMap" else 2) + bodies[-1]
        return _MAP, (bodies[0] + made if len(bodies) == 2 else made), 1


_MACROS: dict[str, Callable[[Estimator, Macro], int]] = {
    "has": Estimator._has,
    "bind": Estimator._bind,
    "optMap": Estimator._optional,
    "optFlatMap": Estimator._optional,
    **dict.fromkeys(
        ("all", "exists", "exists_one", "existsOne", "filter", "map", "transformList", "transformMap",
         "transformMapEntry"),
        Estimator._loop,
    ),
}  # fmt: skip
