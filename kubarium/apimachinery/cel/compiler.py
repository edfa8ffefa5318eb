"""Syntax tree -> checked types and closures over plain dicts.

One walk does both: every node becomes a `_Typed`, its type, a function of the environment, and what it costs at
most without its loops. The environment is a list: the budget that is left at 0, then one place for each variable.
Costs are paid at the start for the whole expression, at each turn of a loop for its body, and by functions that
look at long values.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md,
https://kubernetes.io/docs/reference/using-api/cel/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from kubarium.apimachinery.cel import library, standard
from kubarium.apimachinery.cel.functions import (
    FUNCTIONS,
    CostExceeded,
    EvaluationError,
    Overload,
    accepts,
    compatible,
    join,
    result_of,
)
from kubarium.apimachinery.cel.library import Optional
from kubarium.apimachinery.cel.parser import (
    DEEPEST,
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
    parse,
)
from kubarium.apimachinery.cel.types import (
    BOOL,
    DYN,
    INT,
    LARGEST_REQUEST,
    NULL,
    TYPE,
    Type,
    list_of,
    map_of,
    most,
    named,
    of_schema,
    optional_of,
    unescape,
)
from kubarium.apimachinery.schema.structural import Structural

COST_LIMIT = 1_000_000
"""What one expression may cost (upstream's PerCallLimit)."""
RULES_COST_LIMIT = 10_000_000
"""What all rules of one object may cost together (upstream's RuntimeCELCostBudget)."""

Env = list[Any]
Run = Callable[[Env], Any]


class _Typed(NamedTuple):
    """A compiled part: its type, how to compute it, what it costs without its loops."""

    type: Type
    run: Run
    cost: int


class Program:
    """A compiled expression. It keeps no state between evaluations, and may be used by many tasks."""

    def __init__(self, source: str, root: _Typed, slots: Mapping[str, int], size: int, loops: int) -> None:
        self.source = source
        self.result_type = root.type
        self.estimated_cost = root.cost + loops
        self._run = root.run
        self._cost = root.cost
        self._slots = slots
        self._size = size

    def evaluate(self, bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT) -> Any:
        """The value for these variables. Raises EvaluationError, or CostExceeded above the limit."""
        return self.evaluate_with_cost(bindings, cost_limit)[0]

    def evaluate_with_cost(
        self, bindings: Mapping[str, Any], cost_limit: int = COST_LIMIT
    ) -> tuple[Any, int]:
        """The value and what it has cost."""
        env: Env = [_UNBOUND] * self._size
        env[0] = cost_limit
        for name, slot in self._slots.items():
            env[slot] = bindings.get(name, _UNBOUND)
        _spend(env, self._cost)
        try:
            value = self._run(env)
        except RecursionError:
            raise EvaluationError("expression is nested too deeply") from None
        return value, cost_limit - env[0]


def compile(
    expression: str, variables: Mapping[str, Type | Structural], result: Type | None = None
) -> Program:
    """Check and compile an expression. `result` is the type it must have. Raises CompileError."""
    compiler = _Compiler(expression, variables)
    try:
        root = compiler.visit(parse(expression))
    except RecursionError:
        raise CompileError(expression, 0, f"expression recursion limit exceeded: {DEEPEST}") from None
    if result is not None and not compatible(root.type, result):
        raise CompileError(expression, 0, f"must evaluate to {result}")
    return Program(expression, root, compiler.slots, compiler.size, compiler.estimate)


class _Unbound:
    """The value of a variable that is not given."""


_UNBOUND = _Unbound()


def _spend(env: Env, cost: int) -> None:
    env[0] -= cost
    if env[0] < 0:
        raise CostExceeded


def _truth(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise standard.no_overload()


class _Compiler:
    """Walks one tree. `_scope` holds the variables that are visible where the walk is."""

    def __init__(self, source: str, variables: Mapping[str, Type | Structural]) -> None:
        self._source = source
        self.slots = {name: slot for slot, name in enumerate(variables, 1)}
        self.size = len(variables) + 1
        self.estimate = 0
        """What loops and long values may cost, by the sizes that the schema allows."""
        self._turns = 1
        """How often the part that is being compiled may run."""
        self._scope: dict[str, tuple[int, Type]] = {
            name: (self.slots[name], of_schema(kind, root=True) if isinstance(kind, Structural) else kind)
            for name, kind in variables.items()
        }

    def visit(self, node: Node) -> _Typed:
        """Compile one node with all below it."""
        method = _VISIT[type(node)]
        typed: _Typed = method(self, node)
        return typed

    def error(self, node: Node, message: str) -> CompileError:
        """A complaint about a node."""
        return CompileError(self._source, node.at, message)

    def literal(self, node: Literal) -> _Typed:
        """A value from the text."""
        value = node.value
        kind = named(standard.kind_of(value)) if value is not None else NULL
        if isinstance(value, str | bytes):
            kind = replace(kind, size=len(value))
        return _Typed(kind, lambda env: value, 0)

    def ident(self, node: Ident) -> _Typed:
        """A variable, or the name of a type."""
        found = self._scope.get(node.name)
        if found is None:
            if node.name in _TYPE_NAMES:
                kind = named({"null_type": "null"}.get(node.name, node.name))
                return _Typed(TYPE, lambda env: kind, 1)
            raise self.error(node, f"undeclared reference to '{node.name}' (in container '')")
        slot, kind = found
        return _Typed(kind, _variable_run(slot, node.name, _converter(kind)), 1)

    def select(self, node: Select) -> _Typed:
        """A field of an object, a key of a map."""
        operand = self.visit(node.operand)
        if operand.type.kind == "optional":
            inner = operand.type.params[0]
            field, _ = self._field(node, inner)
            return _Typed(
                optional_of(field), _optional_field(operand.run, node.field, field), operand.cost + 1
            )
        field, key = self._field(node, operand.type)
        if node.optional:
            run = _optional_field(_wrapped(operand.run), key, field)
            return _Typed(optional_of(field), run, operand.cost + 1)
        return _Typed(field, _field_run(operand.run, key, _converter(field), operand.type), operand.cost + 1)

    def _field(self, node: Select, operand: Type) -> tuple[Type, str]:
        if operand.kind == "object" and operand.field_of is not None:
            field = operand.field_of(node.field)
            if field is None:
                raise self.error(node, f"undefined field '{node.field}'")
            return field, unescape(node.field)
        if operand.kind == "map":
            return operand.params[1] if operand.params else DYN, node.field
        if operand.kind in ("dyn", "null"):
            return DYN, node.field
        raise self.error(node, f"type '{operand}' does not support field selection")

    def call(self, node: Call) -> _Typed:
        """An operator or a function."""
        special = _OPERATORS.get(node.function) if node.target is None else None
        if special is not None:
            typed: _Typed = special(self, node)
            return typed
        name, args = self._resolved(node)
        typed_args = [self.visit(arg) for arg in args]
        return self._function(
            node, name, typed_args, member=node.target is not None and len(args) > len(node.args)
        )

    def _resolved(self, node: Call) -> tuple[str, list[Node]]:
        """`sets.contains(a, b)` is a function in a namespace unless `sets` is a variable."""
        if isinstance(node.target, Ident) and node.target.name not in self._scope:
            full = f"{node.target.name}.{node.function}"
            if full in FUNCTIONS:
                return full, node.args
        return node.function, [node.target, *node.args] if node.target is not None else node.args

    def _function(self, node: Node, name: str, args: Sequence[_Typed], *, member: bool) -> _Typed:
        overloads = [one for one in FUNCTIONS.get(name, ()) if one.member == member]
        if not overloads:
            raise self.error(node, f"undeclared reference to '{name}' (in container '')")
        types = [arg.type for arg in args]
        fitting = [(one, result) for one in overloads if (result := result_of(one, types)) is not None]
        if not fitting:
            raise self.error(
                node, f"found no matching overload for '{name}' applied to '{_shown(types, member)}'"
            )
        cost = sum(arg.cost for arg in args) + 1
        if any(one.cost is not None for one, _ in fitting):
            self.estimate += self._turns * _estimated(types)
        runs = [arg.run for arg in args]
        if len(fitting) == 1 and _is_certain(fitting[0][0], types):
            overload, result = fitting[0]
            return _Typed(_sized(result, types), _direct(overload, runs), cost)
        result = join([result for _, result in fitting])
        return _Typed(_sized(result, types), _dispatched([one for one, _ in fitting], runs), cost)

    def make_list(self, node: MakeList) -> _Typed:
        """`[a, b]`."""
        items = [self.visit(item) for item in node.items]
        types = [
            item.type.params[0] if index in node.optional and item.type.params else item.type
            for index, item in enumerate(items)
        ]
        runs, optional = [item.run for item in items], node.optional
        cost = sum(item.cost for item in items) + 10
        if not optional:
            kind = replace(list_of(join(types)), size=len(runs))
            return _Typed(kind, lambda env: [run(env) for run in runs], cost)

        def run(env: Env) -> list[Any]:
            made = []
            for index, item in enumerate(runs):
                value = item(env)
                if index not in optional:
                    made.append(value)
                elif value.present:
                    made.append(value.value)
            return made

        return _Typed(list_of(join(types)), run, cost)

    def make_map(self, node: MakeMap) -> _Typed:
        """`{a: b}`."""
        entries = [(self.visit(key), self.visit(value), optional) for key, value, optional in node.entries]
        keys = join([key.type for key, _, _ in entries])
        values = join(
            [
                value.type.params[0] if optional and value.type.params else value.type
                for _, value, optional in entries
            ]
        )
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

        return _Typed(map_of(keys, values), run, sum(k.cost + v.cost for k, v, _ in entries) + 30)

    def make_struct(self, node: MakeStruct) -> _Typed:
        """`Object{...}` and `JSONPatch{...}`, of mutating policies: plain dicts."""
        if node.name.split(".")[0] not in ("Object", "JSONPatch"):
            raise self.error(node, f"undeclared reference to '{node.name}' (in container '')")
        fields = [(unescape(name), self.visit(value), optional) for name, value, optional in node.fields]

        def run(env: Env) -> dict[str, Any]:
            made = {}
            for name, typed, optional in fields:
                value = typed.run(env)
                if not optional:
                    made[name] = value
                elif value.present:
                    made[name] = value.value
            return made

        return _Typed(Type("dyn", (), node.name), run, sum(typed.cost for _, typed, _ in fields) + 40)

    # Operators that do not look at all their arguments.

    def _logic(self, node: Call, deciding: bool) -> _Typed:
        """`&&` and `||`: when one side decides, an error of the other one does not matter."""
        left, right = (self._boolean(node, arg) for arg in node.args)
        left_run, right_run = left.run, right.run

        def run(env: Env) -> bool:
            try:
                value: object = left_run(env)
            except EvaluationError:
                other: object = right_run(env)
                if other is deciding:
                    return deciding
                raise
            if value is deciding:
                return deciding
            if value is not (not deciding):
                raise standard.no_overload()
            return _truth(right_run(env))

        return _Typed(BOOL, run, left.cost + right.cost)

    def _boolean(self, node: Call, arg: Node) -> _Typed:
        typed = self.visit(arg)
        if typed.type.kind not in ("bool", "dyn"):
            types = ", ".join(str(self.visit(one).type) for one in node.args)
            raise self.error(node, f"found no matching overload for '{node.function}' applied to '({types})'")
        return typed

    def logical_and(self, node: Call) -> _Typed:
        """`a && b`."""
        return self._logic(node, False)

    def logical_or(self, node: Call) -> _Typed:
        """`a || b`."""
        return self._logic(node, True)

    def conditional(self, node: Call) -> _Typed:
        """`a ? b : c`."""
        condition, yes, no = (self.visit(arg) for arg in node.args)
        types = [condition.type, yes.type, no.type]
        if condition.type.kind not in ("bool", "dyn") or not compatible(yes.type, no.type):
            raise self.error(
                node, f"found no matching overload for '_?_:_' applied to '{_shown(types, False)}'"
            )
        test, yes_run, no_run = condition.run, yes.run, no.run
        branches = [one for one in types[1:] if one.kind != "null"]
        result = join(branches) if branches else NULL
        return _Typed(
            result,
            lambda env: yes_run(env) if _truth(test(env)) else no_run(env),
            condition.cost + max(yes.cost, no.cost),
        )

    def index(self, node: Call) -> _Typed:
        """`a[b]`, also of an optional."""
        target, key = (self.visit(arg) for arg in node.args)
        if target.type.kind != "optional":
            return self._function(node, "_[_]", [target, key], member=False)
        inner = target.type.params[0]
        item = inner.params[-1] if inner.params else DYN
        return _Typed(optional_of(item), _optional_item(target.run, key.run), target.cost + key.cost + 1)

    def optional_index(self, node: Call) -> _Typed:
        """`a[?b]`."""
        target, key = (self.visit(arg) for arg in node.args)
        is_optional = target.type.kind == "optional"
        inner = target.type.params[0] if is_optional else target.type
        item = inner.params[-1] if inner.params else DYN
        run = _optional_item(target.run if is_optional else _wrapped(target.run), key.run)
        return _Typed(optional_of(item), run, target.cost + key.cost + 1)

    # Macros.

    def macro(self, node: Macro) -> _Typed:
        """`has`, `cel.bind` and the loops."""
        typed: _Typed = _MACROS[node.name](self, node)
        return typed

    def has(self, node: Macro) -> _Typed:
        """Is the field there?"""
        select = node.args[0]
        assert isinstance(select, Select)
        operand = self.visit(select.operand)
        inner = operand.type.params[0] if operand.type.kind == "optional" else operand.type
        _, key = self._field(select, inner)
        operand_run = operand.run

        def run(env: Env) -> bool:
            value = operand_run(env)
            if type(value) is dict or isinstance(value, Mapping):
                return key in value
            if isinstance(value, Optional):
                return bool(value.present) and isinstance(value.value, Mapping) and key in value.value
            raise standard.no_overload()

        return _Typed(BOOL, run, operand.cost + 1)

    def bind(self, node: Macro) -> _Typed:
        """`cel.bind(name, value, expression)`."""
        value = self.visit(node.args[0])
        with_name, (slot,) = self._inside(node.args[1:], node.variables, [value.type])
        (body,) = with_name
        value_run, body_run = value.run, body.run

        def run(env: Env) -> Any:
            env[slot] = value_run(env)
            return body_run(env)

        return _Typed(body.type, run, value.cost + body.cost + 1)

    def _inside(
        self, nodes: Sequence[Node], names: Sequence[str], types: Sequence[Type]
    ) -> tuple[list[_Typed], list[int]]:
        """Compile with new variables."""
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

    def loop(self, node: Macro) -> _Typed:
        """`target.all(x, p)` and the other macros that go through a list or a map."""
        assert node.target is not None
        target = self.visit(node.target)
        if target.type.kind == "optional":
            raise self.error(node, f"expression of type '{target.type}' cannot be range of a comprehension")
        keys, values = self._range(node, target.type)
        types = (
            [keys, values] if len(node.variables) == 2 else [values if target.type.kind != "map" else keys]
        )
        outside, size = self._turns, most(target.type)
        self._turns *= size
        bodies, slots = self._inside(node.args, node.variables, types)
        self.estimate += self._turns * (sum(body.cost for body in bodies) + 3)
        self._turns = outside
        for body in bodies[: len(bodies) if node.name in _PREDICATES else len(bodies) - 1]:
            if body.type.kind not in ("bool", "dyn"):
                raise self.error(node.args[0], f"expected type 'bool' but found '{body.type}'")
        result, run = _LOOPS[node.name](target.run, slots, bodies)
        if result is None:
            result = list_of(types[0]) if target.type.kind != "list" else target.type
        if result.kind in ("list", "map"):
            result = replace(result, size=size)
        return _Typed(result, run, target.cost + 1)

    def _range(self, node: Macro, target: Type) -> tuple[Type, Type]:
        if target.kind == "list":
            return INT, target.params[0] if target.params else DYN
        if target.kind == "map":
            return (target.params[0], target.params[1]) if target.params else (DYN, DYN)
        if target.kind in ("dyn", "object", "null"):
            return DYN, DYN
        rule = "(must be list, map, or dynamic)"
        raise self.error(node, f"expression of type '{target}' cannot be range of a comprehension {rule}")

    def optional_map(self, node: Macro) -> _Typed:
        """`optional.optMap(x, expression)`, and optFlatMap, whose expression is an optional itself."""
        assert node.target is not None
        target = self.visit(node.target)
        inner = target.type.params[0] if target.type.kind == "optional" and target.type.params else DYN
        (body,), (slot,) = self._inside(node.args, node.variables, [inner])
        target_run, body_run, flat = target.run, body.run, node.name == "optFlatMap"

        def run(env: Env) -> Any:
            value = target_run(env)
            if not isinstance(value, Optional):
                raise standard.no_overload()
            if not value.present:
                return value
            env[slot] = value.value
            made = body_run(env)
            return made if flat else Optional(True, made)

        return _Typed(body.type if flat else optional_of(body.type), run, target.cost + body.cost + 1)


# Closures for variables and fields.


def _variable_run(slot: int, name: str, convert: Callable[[Any], Any] | None) -> Run:
    def run(env: Env) -> Any:
        value = env[slot]
        if value is _UNBOUND:
            raise EvaluationError(f"no such attribute(s): {name}")
        return value if convert is None or value is None else convert(value)

    return run


def _field_run(operand: Run, key: str, convert: Callable[[Any], Any] | None, kind: Type) -> Run:
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
    return EvaluationError(f"no such key: {key}") if isinstance(value, Mapping) else standard.no_overload()


def _converter(kind: Type) -> Callable[[Any], Any] | None:
    """From what JSON has to what CEL has, where they differ."""
    if kind.kind == "timestamp":
        return lambda value: value if isinstance(value, datetime) else standard.parse_timestamp(value)
    if kind.kind == "duration":
        return lambda value: value if isinstance(value, timedelta) else standard.parse_duration(value)
    if kind.kind == "bytes":
        return library.from_base64
    if kind.kind == "double":
        return lambda value: float(value) if type(value) is int else value
    inner = _converter(kind.params[-1]) if kind.kind in ("list", "map") and kind.params else None
    if inner is None:
        return None
    if kind.kind == "list":
        return lambda values: [inner(value) for value in values]
    return lambda values: {key: inner(value) for key, value in values.items()}


def _wrapped(operand: Run) -> Run:
    return lambda env: Optional(True, operand(env))


def _optional_field(operand: Run, key: str, field: Type) -> Run:
    convert = _converter(field)

    def run(env: Env) -> Optional:
        value = operand(env)
        if not value.present or value.value is None:
            return library.NONE
        if not isinstance(value.value, Mapping):
            raise standard.no_overload()
        if key not in value.value:
            return library.NONE
        found = value.value[key]
        return Optional(True, convert(found) if convert is not None and found is not None else found)

    return run


def _optional_item(operand: Run, key: Run) -> Run:
    def run(env: Env) -> Optional:
        value = operand(env)
        if not value.present:
            return library.NONE
        step, inner = key(env), value.value
        if isinstance(inner, Mapping):
            return Optional(True, inner[step]) if step in inner else library.NONE
        if isinstance(inner, list) and type(step) is int:
            return Optional(True, inner[step]) if 0 <= step < len(inner) else library.NONE
        raise standard.no_overload()

    return run


# Closures for functions.


def _shown(types: Sequence[Type], member: bool) -> str:
    if member:
        return f"{types[0]}.({', '.join(map(str, types[1:]))})"
    return f"({', '.join(map(str, types))})"


def _estimated(types: Sequence[Type]) -> int:
    """What a function may cost that looks at its arguments: a tenth for a character, one for an item."""
    return sum(most(kind) if kind.kind in ("list", "map") else most(kind) // 10 for kind in types)


def _sized(result: Type, types: Sequence[Type]) -> Type:
    """No function makes more characters or items than it is given in all."""
    if result.size is not None or result.kind not in ("string", "bytes", "list", "map"):
        return result
    sizes = [most(kind) for kind in types]
    return replace(result, size=sum(sizes)) if sum(sizes) < LARGEST_REQUEST else result


def _is_certain(overload: Overload, types: Sequence[Type]) -> bool:
    """Are the values sure to fit, so that nothing need be asked while running?"""
    return all(
        given.kind not in ("dyn", "null") or wanted.kind == "dyn" or len(wanted.kind) == 1
        for wanted, given in zip(overload.params, types, strict=True)
    )


def _direct(overload: Overload, runs: Sequence[Run]) -> Run:
    function, price = overload.run, overload.cost
    if price is not None:
        return _priced(function, price, runs)
    if len(runs) == 1:
        (first,) = runs
        return lambda env: function(first(env))
    if len(runs) == 2:
        left, right = runs
        return lambda env: function(left(env), right(env))
    return lambda env: function(*[run(env) for run in runs])


def _priced(function: Callable[..., Any], price: Callable[..., int], runs: Sequence[Run]) -> Run:
    def run(env: Env) -> Any:
        args = [run(env) for run in runs]
        _spend(env, price(*args))
        return function(*args)

    return run


def _dispatched(overloads: Sequence[Overload], runs: Sequence[Run]) -> Run:
    """Which overload it is turns out while running."""

    def run(env: Env) -> Any:
        args = [run(env) for run in runs]
        for overload in overloads:
            if all(accepts(wanted, arg) for wanted, arg in zip(overload.params, args, strict=True)):
                if overload.cost is not None:
                    _spend(env, overload.cost(*args))
                return overload.run(*args)
        raise standard.no_overload()

    return run


# Loops. Each takes the range, the places of its variables and its compiled bodies; the type None is that of the range.

_Loop = tuple[Type | None, Run]


def _pairs(value: Any, count: int) -> Any:
    """What the variables hold, turn by turn."""
    if isinstance(value, list):
        return enumerate(value) if count == 2 else value
    if isinstance(value, Mapping):
        return value.items() if count == 2 else value
    raise standard.no_overload()


def _turns(target: Run, slots: Sequence[int], cost: int) -> Callable[[Env], Any]:
    """A generator of turns: it sets the variables and pays for the bodies."""
    first = slots[0]
    if len(slots) == 1:

        def one(env: Env) -> Any:
            for item in _pairs(target(env), 1):
                _spend(env, cost)
                env[first] = item
                yield item

        return one
    second = slots[1]

    def two(env: Env) -> Any:
        for key, item in _pairs(target(env), 2):
            _spend(env, cost)
            env[first], env[second] = key, item
            yield key

    return two


def _quantifier(deciding: bool) -> Callable[[Run, Sequence[int], Sequence[_Typed]], _Loop]:
    """`all` and `exists`: the first item that decides ends the loop, and hides errors of the others."""

    def make(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
        turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run

        def run(env: Env) -> bool:
            failed: EvaluationError | None = None
            for _ in turns(env):
                try:
                    if _truth(body(env)) is deciding:
                        return deciding
                except EvaluationError as error:
                    failed = failed or error
            if failed is not None:
                raise failed
            return not deciding

        return BOOL, run

    return make


def _exists_one(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run
    return BOOL, lambda env: sum(1 for _ in turns(env) if _truth(body(env))) == 1


def _filter(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns, body = _turns(target, slots, bodies[0].cost + 3), bodies[0].run
    return None, lambda env: [item for item in turns(env) if _truth(body(env))]


def _map(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run = made.run
    if not conditions:
        return list_of(made.type), lambda env: [run(env) for _ in turns(env)]
    test = conditions[0].run
    return list_of(made.type), lambda env: [run(env) for _ in turns(env) if _truth(test(env))]


def _transform_map(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run, tests = made.run, [condition.run for condition in conditions]
    return (
        map_of(DYN, made.type),
        lambda env: {key: run(env) for key in turns(env) if all(_truth(test(env)) for test in tests)},
    )


def _transform_entries(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns = _turns(target, slots, sum(body.cost for body in bodies) + 3)
    *conditions, made = bodies
    run, tests = made.run, [condition.run for condition in conditions]

    def transform(env: Env) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for _ in turns(env):
            if all(_truth(test(env)) for test in tests):
                for key, value in run(env).items():
                    if key in result:
                        raise EvaluationError(f"insert failed: key {key} already exists")
                    result[key] = value
        return result

    return made.type, transform


def _sort_by(target: Run, slots: Sequence[int], bodies: Sequence[_Typed]) -> _Loop:
    turns, key = _turns(target, slots, bodies[0].cost + 3), bodies[0].run

    def run(env: Env) -> list[Any]:
        pairs = [(key(env), item) for item in turns(env)]
        try:
            return [item for _, item in sorted(pairs, key=lambda pair: pair[0])]
        except TypeError:
            raise standard.no_overload() from None

    return None, run


_PREDICATES = ("all", "exists", "exists_one", "existsOne", "filter")
_LOOPS: dict[str, Callable[[Run, Sequence[int], Sequence[_Typed]], _Loop]] = {
    "all": _quantifier(False),
    "exists": _quantifier(True),
    "exists_one": _exists_one,
    "existsOne": _exists_one,
    "filter": _filter,
    "map": _map,
    "transformList": _map,
    "transformMap": _transform_map,
    "transformMapEntry": _transform_entries,
    "sortBy": _sort_by,
}

_Visit = Callable[[_Compiler, Any], _Typed]

_VISIT: dict[type[Node], _Visit] = {
    Literal: _Compiler.literal,
    Ident: _Compiler.ident,
    Select: _Compiler.select,
    Call: _Compiler.call,
    MakeList: _Compiler.make_list,
    MakeMap: _Compiler.make_map,
    MakeStruct: _Compiler.make_struct,
    Macro: _Compiler.macro,
}
_OPERATORS: dict[str, _Visit] = {
    "_&&_": _Compiler.logical_and,
    "_||_": _Compiler.logical_or,
    "_?_:_": _Compiler.conditional,
    "_[_]": _Compiler.index,
    "_[?_]": _Compiler.optional_index,
}
_MACROS: dict[str, _Visit] = {
    "has": _Compiler.has,
    "bind": _Compiler.bind,
    "optMap": _Compiler.optional_map,
    "optFlatMap": _Compiler.optional_map,
    **dict.fromkeys(_LOOPS, _Compiler.loop),
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
