"""Syntax tree -> checked types and closures over plain dicts.

One walk does both: every node becomes a `Typed`, its type, a function of the environment, and what it costs at
most without its loops. The environment is a list: the budget that is left at 0, then one place for each variable.
Costs are paid at the start for what is computed in any case, for a branch where it is taken, at each turn of a loop
for its body, and by functions that look at long values.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md,
https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kubarium.apimachinery.cel import access, aggregates, conversions, dispatch, literals, values
from kubarium.apimachinery.cel.cost_estimation import Estimator
from kubarium.apimachinery.cel.function_costs import HIGHEST
from kubarium.apimachinery.cel.functions import (
    CostExceeded,
    EvaluationError,
    Overload,
    compatible,
    join,
    result_of,
)
from kubarium.apimachinery.cel.libraries.catalog import FUNCTIONS
from kubarium.apimachinery.cel.macros import MACROS
from kubarium.apimachinery.cel.nodes import (
    Call,
    CompileError,
    Ident,
    Literal,
    Macro,
    MakeList,
    MakeMap,
    MakeStruct,
    Node,
    Select,
    Unusable,
    walk,
)
from kubarium.apimachinery.cel.parser import DEEPEST, dotted, parse
from kubarium.apimachinery.cel.program import COST_LIMIT, RULES_COST_LIMIT, Env, Program, Typed, spend, truth
from kubarium.apimachinery.cel.types import (
    BOOL,
    DYN,
    ERROR,
    INT,
    NULL,
    TYPE,
    Type,
    named,
    of_schema,
    optional_of,
    unescape,
)
from kubarium.apimachinery.schema.structural import Structural


def compile(
    expression: str,
    variables: Mapping[str, Type | Structural],
    result: Type | None = None,
    *,
    estimate: bool = False,
    bindings: bool = False,
    mutations: bool = True,
) -> Program:
    """Check and compile an expression. `result` is the type it must have. Raises CompileError.

    With `estimate` the program knows what it may cost at most; with `bindings` there is `cel.bind`, with `mutations`
    what only mutating policies have.
    """
    compiler = _Compiler(expression, variables, mutations)
    try:
        tree = parse(expression, bindings=bindings)
        root = compiler.visit(tree)
    except RecursionError:
        raise CompileError(expression, 0, f"expression recursion limit exceeded: {DEEPEST}") from None
    if errors := compiler.errors or compiler.bad_literals:
        raise CompileError.joined(errors)
    if compiler.unusable:
        raise Unusable(compiler.unusable)
    if result is not None and not compatible(root.type, result):
        raise CompileError(expression, 0, f"must evaluate to {result}")
    cost = Estimator(compiler.types, compiler.size_of_self()).cost(tree) if estimate else 0
    return Program(expression, root, compiler.slots, compiler.size, cost)


class _Compiler:
    """Walks one tree. `_scope` holds the variables that are visible where the walk is."""

    def __init__(self, source: str, variables: Mapping[str, Type | Structural], mutations: bool) -> None:
        self._source = source
        self.mutations = mutations
        self.slots = {name: slot for slot, name in enumerate(variables, 1)}
        self.size = len(variables) + 1
        self.types: dict[int, Type] = {}  # of the nodes, by their `id`
        self.errors: list[CompileError] = []
        self.mixed: set[int] = set()  # lists that may hold anything
        self.unusable = ""  # why no program can be made although all types fit
        self.bad_literals: list[CompileError] = []  # told where nothing else is wrong
        self._scope: dict[str, tuple[int, Type]] = {
            name: (self.slots[name], of_schema(kind, root=True) if isinstance(kind, Structural) else kind)
            for name, kind in variables.items()
        }

    def size_of_self(self) -> int:
        """How large the value may be that a rule is about."""
        found = self._scope.get("self")
        return (found[1].size or 0) if found is not None else HIGHEST

    def visit(self, node: Node) -> Typed:
        """Compile one node with all below it. What is wrong is noted, and nothing more is said about it."""
        method = _VISIT[type(node)]
        try:
            typed: Typed = method(self, node)
        except CompileError as error:
            self.errors.append(error)
            typed = _WRONG
        self.types[id(node)] = typed.type
        return typed

    def error(self, node: Node, message: str) -> CompileError:
        """A complaint about a node."""
        return CompileError(self._source, node.at, message)

    def literal(self, node: Literal) -> Typed:
        """A value from the text."""
        value = node.value
        kind = named(conversions.kind_of(value)) if value is not None else NULL
        return Typed(kind, lambda env: value, 0, True)

    def ident(self, node: Ident) -> Typed:
        """A variable, or the name of a type."""
        found = self._scope.get(node.name)
        if found is None:
            if node.name in _TYPE_NAMES:
                kind = named({"null_type": "null"}.get(node.name, node.name))
                return Typed(TYPE, lambda env: kind, 0)
            raise self.error(node, f"undeclared reference to '{node.name}' (in container '')")
        slot, kind = found
        return Typed(kind, access.variable_run(slot, node.name, access.converter(kind)), 1)

    def select(self, node: Select) -> Typed:
        """A field of an object, a key of a map; or a variable whose name has dots."""
        found = self._scope.get(dotted(node))
        if found is not None:
            return Typed(found[1], access.variable_run(found[0], dotted(node), access.converter(found[1])), 1)
        operand = self.visit(node.operand)
        price = operand.cost + _step_cost(node.operand)
        if operand.type.kind == "optional":
            inner = operand.type.params[0]
            field, _ = self.field(node, inner)
            return Typed(optional_of(field), access.optional_field(operand.run, node.field, field), price)
        field, key = self.field(node, operand.type)
        if node.optional:
            run = access.optional_field(access.wrapped(operand.run), key, field)
            return Typed(optional_of(field), run, price)
        convert = access.converter(field)
        if operand.type.kind == "object":
            run = access.property_run(operand.run, key, node.field, convert)
        else:
            run = access.field_run(operand.run, key, convert)
        return Typed(field, run, price)

    def field(self, node: Select, operand: Type) -> tuple[Type, str]:
        if operand.kind == "object" and operand.field_of is not None:
            # Quoted names are not unescaped, but fields are known by their escaped names.
            field = operand.field_of(node.field) if node.field.isidentifier() else None
            if field is None:
                raise self.error(node, f"undefined field '{node.field}'")
            return field, unescape(node.field)
        if operand.kind == "map":
            return operand.params[1] if operand.params else DYN, node.field
        if operand.kind in ("dyn", "null"):
            return DYN, node.field
        if operand.name.startswith("kubernetes."):
            raise self.error(node, f"unexpected failed resolution of '{operand}'")
        self.errors.append(self.error(node, f"type '{operand}' does not support field selection"))
        return DYN, node.field

    def call(self, node: Call) -> Typed:
        """An operator or a function."""
        special = _OPERATORS.get(node.function) if node.target is None else None
        if special is not None:
            typed: Typed = special(self, node)
            return typed
        name, args = self._resolved(node)
        if name == "format":
            self.mixed.update(id(below) for arg in args for below in walk(arg))
        typed_args = [self.visit(arg) for arg in args]
        self._check_literals(name, args)
        if (
            name == "@in"
            and typed_args[1].is_constant
            and compatible(typed_args[0].type, _item_of(typed_args[1]))
        ):
            item, items = typed_args
            run = dispatch.dispatched(
                [one._replace(cost=None) for one in FUNCTIONS[name]], [item.run, items.run]
            )
            return Typed(BOOL, run, item.cost)  # a set is made of it once
        member = node.target is not None and len(args) > len(node.args)
        return self._function(node, name, typed_args, args, member=member)

    def _check_literals(self, name: str, args: Sequence[Node]) -> None:
        """Durations, timestamps and patterns that stand in the text are looked at once."""
        check, last = literals.CHECKS.get(name), args[-1] if args else None
        if check is None or not isinstance(last, Literal) or not isinstance(last.value, str):
            return
        try:
            check(last.value)
        except EvaluationError:
            self.bad_literals.append(self.error(last, f"invalid {name} argument"))

    def _resolved(self, node: Call) -> tuple[str, list[Node]]:
        """`sets.contains(a, b)` is a function in a namespace unless `sets` is a variable."""
        if isinstance(node.target, Ident) and node.target.name not in self._scope:
            full = f"{node.target.name}.{node.function}"
            if full in FUNCTIONS and (self.mutations or full != _ESCAPE_KEY):
                return full, node.args
        return node.function, [node.target, *node.args] if node.target is not None else node.args

    def _function(
        self, node: Node, name: str, args: Sequence[Typed], given: Sequence[Node], *, member: bool
    ) -> Typed:
        overloads = [one for one in FUNCTIONS.get(name, ()) if one.member == member]
        if name not in FUNCTIONS and name not in _OPERATORS:
            raise self.error(node, f"undeclared reference to '{name}' (in container '')")
        types = [arg.type for arg in args]
        fitting = [(one, result) for one in overloads if (result := result_of(one, types)) is not None]
        if not fitting:
            raise self.error(
                node, f"found no matching overload for '{name}' applied to '{dispatch.shown(types, member)}'"
            )
        if name in literals.CONVERSIONS and len(given) == 1 and args[0].is_constant:
            return self._converted(fitting[0], args[0])
        if name in ("or", "orValue") and args[0].type.kind == "optional":
            run = access.otherwise(args[0].run, args[1], whole=name == "or")
            return Typed(fitting[0][1], run, args[0].cost)
        cost = sum(arg.cost for arg in args)
        runs = [arg.run for arg in args]
        if name in _COMPARISONS and any(kind.kind in _AS_LARGE_AS_ONE for kind in types):
            # Their cost is one unit whatever they hold, and need not be asked each time.
            fitting = [(one._replace(cost=None), result) for one, result in fitting]
        cost += dispatch.costs([one for one, _ in fitting])
        if len(fitting) == 1 and dispatch.is_certain(fitting[0][0], types):
            overload, result = fitting[0]
            return Typed(result, dispatch.direct(overload, runs), cost)
        result = join([result for _, result in fitting])
        return Typed(result, dispatch.dispatched([one for one, _ in fitting], runs), cost)

    def _converted(self, fitting: tuple[Overload, Type], arg: Typed) -> Typed:
        """A constant of another type is made when the expression is compiled, once."""
        overload, result = fitting
        env: Env = []
        try:
            value = overload.run(arg.run(env))
        except EvaluationError as error:
            self.unusable = self.unusable or str(error)
            return Typed(result, _never, 0)
        return Typed(result, lambda env: value, 0, True)

    def macro(self, node: Macro) -> Typed:
        """`has`, `cel.bind` and the loops."""
        return MACROS[node.name](self, node)

    def inside(
        self, nodes: Sequence[Node], names: Sequence[str], types: Sequence[Type]
    ) -> tuple[list[Typed], list[int]]:
        """Compile with new variables; where they are in the environment."""
        before = self._scope
        slots = []
        self._scope = dict(before)
        for name, kind in zip(names, types, strict=True):
            self._scope[name] = (self.size, kind)
            slots.append(self.size)
            self.size += 1
        typed = [self.visit(node) for node in nodes]
        self._scope = before
        return typed, slots

    # Operators that do not look at all their arguments.

    def _logic(self, node: Call, deciding: bool) -> Typed:
        """`&&` and `||`: when one side decides, an error of the other one does not matter."""
        left, right = (self._boolean(arg) for arg in node.args)
        left_run, right_run, price = left.run, right.run, right.cost

        def run(env: Env) -> bool:
            try:
                value: object = left_run(env)
            except EvaluationError:
                spend(env, price)
                other: object = right_run(env)
                if other is deciding:
                    return deciding
                raise
            if value is deciding:
                return deciding
            if value is not (not deciding):
                raise values.no_overload()
            spend(env, price)
            return truth(right_run(env))

        return Typed(BOOL, run, left.cost)

    def _boolean(self, arg: Node) -> Typed:
        typed = self.visit(arg)
        if typed.type.kind not in ("bool", "dyn"):
            self.errors.append(self.error(arg, f"expected type 'bool' but found '{typed.type}'"))
        return typed

    def logical_and(self, node: Call) -> Typed:
        """`a && b`."""
        return self._logic(node, False)

    def logical_or(self, node: Call) -> Typed:
        """`a || b`."""
        return self._logic(node, True)

    def conditional(self, node: Call) -> Typed:
        """`a ? b : c`."""
        condition, yes, no = (self.visit(arg) for arg in node.args)
        types = [condition.type, yes.type, no.type]
        if condition.type.kind not in ("bool", "dyn") or not compatible(yes.type, no.type):
            raise self.error(
                node, f"found no matching overload for '_?_:_' applied to '{dispatch.shown(types, False)}'"
            )
        test, yes_run, no_run = condition.run, yes.run, no.run
        branches = [
            kind
            for kind, given in zip(types[1:], node.args[1:], strict=True)
            if kind.kind != "null" and not literals.is_empty(given)
        ]
        result = join(branches) if branches else yes.type
        prices = [_price_in_attribute(yes, node.args[1]), _price_in_attribute(no, node.args[2])]

        def run(env: Env) -> Any:
            if truth(test(env)):
                spend(env, prices[0])
                return yes_run(env)
            spend(env, prices[1])
            return no_run(env)

        return Typed(result, run, condition.cost)

    def index(self, node: Call) -> Typed:
        """`a[b]`, also of an optional."""
        target, key, price = self._step(node)
        if target.type.kind != "optional":
            item_of = self._function(node, "_[_]", [target, key], node.args, member=False)
            return item_of._replace(cost=price)
        inner = target.type.params[0]
        item = self._item(node, "_[_]", target.type, inner, key.type)
        return Typed(optional_of(item), access.optional_item(target.run, key.run), price)

    def _step(self, node: Call) -> tuple[Typed, Typed, int]:
        """What is reached into, the key, and what that costs."""
        target, key = (self.visit(arg) for arg in node.args)
        price = target.cost + _step_cost(node.args[0]) + _price_in_attribute(key, node.args[1])
        return target, key, price

    def _item(self, node: Call, name: str, target: Type, inner: Type, key: Type) -> Type:
        """What is behind a key of an optional, or behind one that may not be there. Raises CompileError."""
        if inner.kind == "list" and compatible(INT, key):
            return inner.params[0] if inner.params else DYN
        if inner.kind == "map" and compatible(inner.params[0] if inner.params else DYN, key):
            return inner.params[1] if inner.params else DYN
        if inner.kind == "dyn":
            return DYN
        shown = dispatch.shown([target, key], False)
        raise self.error(node, f"found no matching overload for '{name}' applied to '{shown}'")

    def optional_index(self, node: Call) -> Typed:
        """`a[?b]`."""
        target, key, price = self._step(node)
        is_optional = target.type.kind == "optional"
        inner = target.type.params[0] if is_optional else target.type
        item = self._item(node, "_[?_]", target.type, inner, key.type)
        run = access.optional_item(target.run if is_optional else access.wrapped(target.run), key.run)
        return Typed(optional_of(item), run, price)


def _item_of(items: Typed) -> Type:
    return items.type.params[0] if items.type.params else DYN


def _never(env: Env) -> Any:
    raise AssertionError("what does not compile does not run")


_WRONG = Typed(ERROR, _never, 0)


# What is reached by names and keys is one attribute for upstream: its cost tracker counts the whole, and the steps.


def _is_attribute(node: Node) -> bool:
    return isinstance(node, Ident | Select) or (isinstance(node, Call) and node.function in ("_[_]", "_[?_]"))


def _price_in_attribute(typed: Typed, node: Node) -> int:
    """An attribute that is a key or a branch of another one is not counted for itself."""
    return typed.cost - (typed.cost > 0 and _is_attribute(node))


def _step_cost(operand: Node) -> int:
    """A step; with the first one from what is no attribute one begins."""
    is_choice = isinstance(operand, Call) and operand.function == "_?_:_"
    return 1 if is_choice or _is_attribute(operand) else 2


_ESCAPE_KEY = "jsonpatch.escapeKey"


_COMPARISONS = frozenset(("_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"))
_AS_LARGE_AS_ONE = frozenset(("bool", "int", "uint", "double", "timestamp", "duration", "null"))

_Visit = Callable[[_Compiler, Any], Typed]

_VISIT: dict[type[Node], _Visit] = {
    Literal: _Compiler.literal,
    Ident: _Compiler.ident,
    Select: _Compiler.select,
    Call: _Compiler.call,
    MakeList: aggregates.make_list,
    MakeMap: aggregates.make_map,
    MakeStruct: aggregates.make_struct,
    Macro: _Compiler.macro,
}
_OPERATORS: dict[str, _Visit] = {
    "_&&_": _Compiler.logical_and,
    "_||_": _Compiler.logical_or,
    "_?_:_": _Compiler.conditional,
    "_[_]": _Compiler.index,
    "_[?_]": _Compiler.optional_index,
}
_TYPE_NAMES = frozenset(
    (
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "timestamp",
        "duration",
    )
)

__all__ = [
    "COST_LIMIT", "RULES_COST_LIMIT", "CompileError", "CostExceeded", "EvaluationError", "Program", "compile",
]  # fmt: skip
