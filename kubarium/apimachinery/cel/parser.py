"""Words -> syntax tree: a Pratt parser.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

from collections.abc import Sequence

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
)
from kubarium.apimachinery.cel.syntax_errors import syntax_errors
from kubarium.apimachinery.cel.tokens import KEYWORDS, RESERVED, Token, tokens_of

LONGEST = 100_000
DEEPEST = 250

_CONSTANTS = {"true": True, "false": False, "null": None}

_BINARY = {
    "||": 1, "&&": 2, "<": 3, "<=": 3, ">": 3, ">=": 3, "==": 3, "!=": 3, "in": 3,
    "+": 4, "-": 4, "*": 5, "/": 5, "%": 5,
}  # fmt: skip

# How many arguments of a macro are names of variables, by the number of its arguments.
_LOOPS: dict[str, dict[int, int]] = {
    "all": {2: 1, 3: 2},
    "exists": {2: 1, 3: 2},
    "exists_one": {2: 1, 3: 2},
    "existsOne": {2: 1, 3: 2},
    "map": {2: 1, 3: 1},
    "filter": {2: 1},
    "transformList": {3: 2, 4: 2},
    "transformMap": {3: 2, 4: 2},
    "transformMapEntry": {3: 2, 4: 2},
    "optMap": {2: 1},
    "optFlatMap": {2: 1},
}


def parse(source: str, *, bindings: bool = False) -> Node:
    """The tree of an expression. Raises CompileError. With `bindings` there is the macro `cel.bind`."""
    if len(source) > LONGEST:
        raise CompileError(
            source, 0, f"expression code point size exceeds limit: size: {len(source)}, limit {LONGEST}"
        )
    tokens, errors = tokens_of(source)
    try:
        node = _Parser(source, tokens, bindings).whole()
    except _TooDeep as error:
        errors.append(error)
    except CompileError as error:
        errors += syntax_errors(source, tokens) or [error]
    if errors:
        raise CompileError.joined(errors)
    return node


class _TooDeep(CompileError):
    """Nested deeper than allowed."""


class _Parser:
    """Reads tokens from left to right, one ahead."""

    def __init__(self, source: str, tokens: Sequence[Token], bindings: bool) -> None:
        self._bindings = bindings
        self._source = source
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        """The expression, and nothing after it."""
        node = self._expression()
        token = self._peek()
        if token.kind != "end":
            raise self._wrong(token)
        return node

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, text: str) -> Token | None:
        token = self._peek()
        if token.text == text and token.kind == "operator":
            self._next += 1
            return token
        return None

    def _expect(self, text: str) -> None:
        if self._accept(text) is None:
            raise self._wrong(self._peek())

    def _wrong(self, token: Token) -> CompileError:
        """A word that cannot stand here; `syntax_errors` finds the words for it."""
        return CompileError(self._source, token.at, f"Syntax error: unexpected '{token.text}'")

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            message = f"expression recursion limit exceeded: {DEEPEST}"
            raise _TooDeep(self._source, self._peek().at, message)

    def _expression(self) -> Node:
        self._deeper()
        node = self._binary(1)
        question = self._accept("?")
        if question is not None:
            yes = self._binary(1)
            self._expect(":")
            no = self._expression()
            node = Call(question.at, "_?_:_", None, [node, yes, no])
        self._depth -= 1
        return node

    def _binary(self, lowest: int) -> Node:
        left = self._unary()
        while True:
            token = self._peek()
            power = _BINARY.get(token.text) if token.kind in ("operator", "name") else None
            if power is None or power < lowest:
                return left
            self._take()
            right = self._binary(power + 1)
            name = "@in" if token.text == "in" else f"_{token.text}_"
            left = Call(token.at, name, None, [left, right])

    def _unary(self) -> Node:
        """An operand, and what stands before it: two of the same sign are none."""
        first = self._peek()
        if first.kind != "operator" or first.text not in ("!", "-") or self._is_number():
            return self._member()
        count = 0
        while self._accept(first.text):
            count += 1
        operand = self._member()
        return Call(first.at, f"{first.text}_", None, [operand]) if count % 2 else operand

    def _is_number(self) -> bool:
        """Does a number follow that has its own minus?"""
        sign, number = self._peek(), self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        return sign.text == "-" and number.kind == "literal" and type(number.value) in (int, float)

    def _member(self) -> Node:
        return self._suffixes(self._primary())

    def _suffixes(self, node: Node) -> Node:
        if isinstance(node, Literal) and type(node.value) is int and node.value >= 2**63:
            raise CompileError(self._source, node.at, "invalid int literal")
        while True:
            if dot := self._accept("."):
                is_optional = self._accept("?") is not None
                name = self._field_name()
                if not is_optional and (opening := self._accept("(")):
                    node = self._call(opening.at, name, node, self._arguments())
                else:
                    node = Select(dot.at, node, name, is_optional)
            elif bracket := self._accept("["):
                function = "_[?_]" if self._accept("?") else "_[_]"
                index = self._expression()
                self._expect("]")
                node = Call(bracket.at, function, None, [node, index])
            elif self._peek().text == "{" and self._peek().kind == "operator" and (name := dotted(node)):
                node = self._struct(name, self._take().at)
            else:
                return node

    def _field_name(self) -> str:
        token = self._take()
        if token.kind not in ("name", "quoted") or token.text in KEYWORDS:
            raise self._wrong(token)
        return token.text

    def _primary(self) -> Node:
        token = self._take()
        if token.kind == "literal":
            return Literal(token.at, token.value)
        if token.kind == "name":
            return self._named(token)
        if token.kind == "operator":
            if token.text == "(":
                node = self._expression()
                self._expect(")")
                return node
            if token.text == "[":
                return self._list(token.at)
            if token.text == "{":
                return self._map(token.at)
            if token.text == ".":
                return self._primary()  # `.name`: there is only one container, the root
            if token.text == "-" and isinstance(self._peek().value, int | float):
                return Literal(token.at, -self._take().value)
        raise self._wrong(token)

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in RESERVED:
            raise CompileError(self._source, token.at, f"reserved identifier: {token.text}")
        if opening := self._accept("("):
            return self._call(opening.at, token.text, None, self._arguments())
        return Ident(token.at, token.text)

    def _call(self, at: int, name: str, target: Node | None, args: list[Node]) -> Node:
        if target is None and name == "has":
            if len(args) != 1:
                return Call(at, name, target, args)
            if not isinstance(args[0], Select):
                raise CompileError(self._source, at + 1, "invalid argument to has() macro")
            return Macro(at, "has", None, [], args)
        is_bind = isinstance(target, Ident) and target.name == "cel" and name == "bind" and len(args) == 3
        if is_bind and self._bindings:
            return Macro(at, "bind", None, [self._variable(args[0])], args[1:])
        if target is not None and name == "sortBy" and len(args) == 2:
            return self._sort_by(at, target, args)
        count = _LOOPS.get(name, {}).get(len(args)) if target is not None else None
        if count is not None and all(isinstance(arg, Ident) for arg in args[:count]):
            return Macro(at, name, target, [self._variable(arg) for arg in args[:count]], args[count:])
        if count is not None and name not in ("map", "filter"):
            raise CompileError(self._source, args[0].at, "argument must be a simple name")
        return Call(at, name, target, args)

    def _sort_by(self, at: int, target: Node, args: list[Node]) -> Node:
        """`list.sortBy(x, key)`: what is sorted is kept in a variable while its keys are made."""
        if isinstance(target, Literal | MakeMap | MakeStruct):
            what = "a list, identifier, comprehension, call or select expression"
            raise CompileError(self._source, target.at, f"sortBy can only be applied to {what}")
        if not isinstance(args[0], Ident):
            raise CompileError(self._source, args[0].at, "argument is not an identifier")
        keys = Macro(at, "map", Ident(at, _SORTED), [args[0].name], args[1:])
        ordered = Call(at, "@sortByAssociatedKeys", Ident(at, _SORTED), [keys])
        return Macro(at, "bind", None, [_SORTED], [target, ordered])

    def _variable(self, node: Node) -> str:
        if not isinstance(node, Ident):
            raise CompileError(self._source, node.at, "argument must be a simple name")
        return node.name

    def _arguments(self) -> list[Node]:
        args: list[Node] = []
        if self._accept(")") is None:
            args.append(self._expression())
            while self._accept(","):
                args.append(self._expression())
            self._expect(")")
        return args

    def _ends(self, closing: str, is_first: bool) -> bool:
        """Is it the end of what has commas in between, and perhaps one at the end?"""
        if not is_first and self._accept(",") is None:
            self._expect(closing)
            return True
        if is_first and self._accept(","):
            self._expect(closing)
            return True
        return self._accept(closing) is not None

    def _list(self, at: int) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        while not self._ends("]", not items):
            if self._accept("?"):
                optional.add(len(items))
            items.append(self._expression())
        return MakeList(at, items, frozenset(optional))

    def _map(self, at: int) -> Node:
        entries: list[tuple[Node, Node, bool]] = []
        while not self._ends("}", not entries):
            optional = self._accept("?") is not None
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression(), optional))
        return MakeMap(at, entries)

    def _struct(self, name: str, at: int) -> Node:
        fields: list[tuple[str, Node, bool]] = []
        while not self._ends("}", not fields):
            optional = self._accept("?") is not None
            field = self._field_name()
            self._expect(":")
            fields.append((field, self._expression(), optional))
        return MakeStruct(at, name, fields)


_SORTED = "@__sortBy_input__"


def dotted(node: Node) -> str:
    """`Object.spec` as text; nothing for what is no name."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional and (before := dotted(node.operand)):
        return f"{before}.{node.field}"
    return ""
