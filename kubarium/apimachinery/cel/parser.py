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
from kubarium.apimachinery.cel.tokens import Token, tokens_of

LONGEST = 100_000
DEEPEST = 250


_RESERVED = frozenset(
    (
        "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
        "package", "namespace", "null", "return", "true", "var", "void", "while",
    )
)  # fmt: skip
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
    except CompileError as error:
        errors.append(error)
    if errors:
        raise CompileError.joined(errors)
    return node


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
            raise self._unwanted(token, "<EOF>", self._after(token).kind == "end")
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

    def _expect(self, text: str, *others: str) -> Token:
        """The word `text`; `others` would fit, too."""
        token = self._accept(text)
        if token is None:
            found = self._peek()
            if found.kind == "end" and text == ")" and self._open() == 1:
                raise self._error(found, "Syntax error: missing ')' at '<EOF>'")
            words = ", ".join(f"'{word}'" for word in (text, *others))
            shown = f"{{{words}}}" if others else words
            raise self._unwanted(found, shown, self._after(found).text in (text, *others))
        return token

    def _after(self, token: Token) -> Token:
        """The word that follows one; the end follows itself."""
        place = self._tokens.index(token, max(self._next - 1, 0))
        return self._tokens[min(place + 1, len(self._tokens) - 1)]

    def _open(self) -> int:
        """How many brackets are not closed."""
        words = [token.text for token in self._tokens if token.kind == "operator"]
        return sum((word in _OPENING) - (word in _CLOSING) for word in words)

    def _unwanted(self, token: Token, expected: str, is_extra: bool) -> CompileError:
        """A word that cannot stand here; it is one too many where without it all would fit."""
        what = "extraneous" if is_extra and token.kind != "end" else "mismatched"
        return self._error(token, f"Syntax error: {what} input '{token.text}' expecting {expected}")

    def _error(self, token: Token, message: str) -> CompileError:
        return CompileError(self._source, token.at, message)

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(self._peek(), f"expression recursion limit exceeded: {DEEPEST}")
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
        token = self._peek()
        if token.kind != "operator" or token.text not in ("!", "-"):
            return self._member()
        self._take()
        following = self._peek()
        if token.text == "-" and following.kind == "literal" and type(following.value) in (int, float):
            self._take()
            return self._suffixes(Literal(token.at, -following.value))
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(token, f"expression recursion limit exceeded: {DEEPEST}")
        operand = self._unary()
        self._depth -= 1
        return Call(token.at, "!_" if token.text == "!" else "-_", None, [operand])

    def _member(self) -> Node:
        return self._suffixes(self._primary())

    def _suffixes(self, node: Node) -> Node:
        if isinstance(node, Literal) and type(node.value) is int and node.value >= 2**63:
            raise CompileError(self._source, node.at, "invalid int literal")
        while True:
            if dot := self._accept("."):
                name = self._field_name()
                if opening := self._accept("("):
                    node = self._call(opening.at, name, node, self._arguments(")"))
                else:
                    node = Select(dot.at, node, name)
            elif dot := self._accept(".?"):
                node = Select(dot.at, node, self._field_name(), optional=True)
            elif bracket := self._accept("["):
                index = self._expression()
                self._expect("]")
                node = Call(bracket.at, "_[_]", None, [node, index])
            elif bracket := self._accept("[?"):
                index = self._expression()
                self._expect("]")
                node = Call(bracket.at, "_[?_]", None, [node, index])
            elif self._peek().text == "{" and self._peek().kind == "operator" and (name := dotted(node)):
                node = self._struct(name, self._take().at)
            else:
                return node

    def _field_name(self) -> str:
        token = self._take()
        if token.kind not in ("name", "quoted"):
            raise self._error(token, f"Syntax error: no viable alternative at input '.{token.text}'")
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
            if token.text in ("[", "[?"):
                return self._list(token)
            if token.text == "{":
                return self._map(token.at)
            if token.text == ".":
                return self._primary()  # `.name`: there is only one container, the root
        following = self._after(token)
        begins = following.kind in ("literal", "name") or following.text in _BEGINNING
        before = [
            one.text if one.kind == "operator" else one.kind for one in self._tokens[: self._next - 1][-2:]
        ]
        may_end = before == ["name", "("]  # a function may have no arguments
        expected = _EXPECTED.replace("'(', ", "'(', ')', ") if may_end else _EXPECTED
        raise self._unwanted(token, expected, begins or (may_end and following.text == ")"))

    def _named(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in _RESERVED:
            raise self._error(token, f"reserved identifier: {token.text}")
        if opening := self._accept("("):
            return self._call(opening.at, token.text, None, self._arguments(")"))
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

    def _arguments(self, closing: str) -> list[Node]:
        args: list[Node] = []
        while self._accept(closing) is None:
            args.append(self._expression())
            if self._accept(",") is None:
                self._expect(closing)
                break
        return args

    def _list(self, opening: Token) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        maybe = opening.text == "[?"
        while maybe or self._accept("]") is None:
            if maybe or self._accept("?"):
                optional.add(len(items))
            maybe = False
            items.append(self._expression())
            if self._accept(",") is None:
                self._expect("]", ",")
                break
        return MakeList(opening.at, items, frozenset(optional))

    def _map(self, at: int) -> Node:
        entries: list[tuple[Node, Node, bool]] = []
        while self._accept("}") is None:
            optional = self._accept("?") is not None
            key = self._expression()
            self._expect(":")
            entries.append((key, self._expression(), optional))
            if self._accept(",") is None:
                self._expect("}")
                break
        return MakeMap(at, entries)

    def _struct(self, name: str, at: int) -> Node:
        fields: list[tuple[str, Node, bool]] = []
        while self._accept("}") is None:
            optional = self._accept("?") is not None
            field = self._field_name()
            self._expect(":")
            fields.append((field, self._expression(), optional))
            if self._accept(",") is None:
                self._expect("}")
                break
        return MakeStruct(at, name, fields)


_OPENING, _CLOSING = frozenset(("(", "[", "[?", "{")), frozenset((")", "]", "}"))
_BEGINNING = frozenset(("[", "{", "(", ".", "-", "!"))
_SORTED = "@__sortBy_input__"
_EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
    "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def dotted(node: Node) -> str:
    """`Object.spec` as text; nothing for what is no name."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional and (before := dotted(node.operand)):
        return f"{before}.{node.field}"
    return ""
