"""CEL source text -> syntax tree: a lexer and a Pratt parser.

Macros (`has`, `all`, `exists`, `map`, ...) stay as they are written, as a `Macro` node; the checker and the
compiler know what they mean. Every node carries its offset in the text, for error messages.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

LONGEST = 100_000
DEEPEST = 250


class CompileError(ValueError):
    """The expression is wrong; the text shows where, as upstream's compiler does."""

    def __init__(self, source: str, offset: int, message: str) -> None:
        line = source.count("\n", 0, offset) + 1
        start = source.rfind("\n", 0, offset) + 1
        column = offset - start
        shown = source[start:].split("\n", 1)[0]
        self.detail = message
        super().__init__(f"ERROR: <input>:{line}:{column + 1}: {message}\n | {shown}\n | {'.' * column}^")


class UInt(int):
    """An unsigned integer: a type of its own in CEL."""


@dataclass(slots=True)
class Node:
    """A part of an expression."""

    at: int


@dataclass(slots=True)
class Literal(Node):
    """A value that stands in the text."""

    value: Any


@dataclass(slots=True)
class Ident(Node):
    """A variable."""

    name: str


@dataclass(slots=True)
class Select(Node):
    """`operand.field`, or `operand.?field`."""

    operand: Node
    field: str
    optional: bool = False


@dataclass(slots=True)
class Call(Node):
    """`function(args)`, `target.function(args)`, and all operators, which have names such as `_+_`."""

    function: str
    target: Node | None
    args: list[Node]


@dataclass(slots=True)
class MakeList(Node):
    """`[a, ?b]`; `optional` holds the indices of items that may be absent."""

    items: list[Node]
    optional: frozenset[int]


@dataclass(slots=True)
class MakeMap(Node):
    """`{key: value}`; the third part says whether the value may be absent."""

    entries: list[tuple[Node, Node, bool]]


@dataclass(slots=True)
class MakeStruct(Node):
    """`Object.spec{replicas: 3}`."""

    name: str
    fields: list[tuple[str, Node, bool]]


@dataclass(slots=True)
class Macro(Node):
    """`target.all(x, p)` and its like: some arguments are names of new variables."""

    name: str
    target: Node | None
    variables: list[str]
    args: list[Node]


class _Token(NamedTuple):
    kind: str
    text: str
    at: int
    value: Any = None


_PREFIX = "(?:[rR][bB]?|[bB][rR]?)?"
_LONG = r"\"\"\"(?s:.*?)(?<!\\)\"\"\"|'''(?s:.*?)(?<!\\)'''"
_SHORT = r"""\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"""
_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*)"
    r"|(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)"
    rf"|(?P<string>{_PREFIX}(?:{_LONG}|{_SHORT}))"
    r"|(?P<quoted>`[a-zA-Z0-9_.\-/ ]+`)"
    r"|(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)"
    r"|(?P<operator>\.\?|\[\?|&&|\|\||<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])"
)
_RAW = re.compile(r"(?P<prefix>[rR][bB]?)(?P<quote>\"\"\"|'''|\"|')")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "?": "?", '"': '"',
    "'": "'", "`": "`",
}  # fmt: skip
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


def parse(source: str) -> Node:
    """The tree of an expression. Raises CompileError."""
    if len(source) > LONGEST:
        raise CompileError(
            source, 0, f"expression code point size exceeds limit: size: {len(source)}, limit {LONGEST}"
        )
    parser = _Parser(source, _tokens(source))
    return parser.whole()


def _tokens(source: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        # A raw string may end in a backslash, which the pattern above takes for an escape.
        raw = _RAW.match(source, at)
        if raw is not None:
            end = source.find(raw["quote"], raw.end())
            if end < 0:
                raise _unexpected(source, at)
            text = source[at : end + len(raw["quote"])]
            tokens.append(_Token("literal", text, at, _string(source, text, at)))
            at += len(text)
            continue
        if match is None:
            raise _unexpected(source, at)
        kind, text = str(match.lastgroup), match.group()
        if kind == "int":
            tokens.append(_Token("literal", text, at, _integer(source, text, at)))
        elif kind == "float":
            tokens.append(_Token("literal", text, at, float(text)))
        elif kind == "string":
            tokens.append(_Token("literal", text, at, _string(source, text, at)))
        elif kind == "quoted":
            tokens.append(_Token("quoted", text[1:-1], at))
        elif kind != "space":
            tokens.append(_Token(kind, text, at))
        at = match.end()
    tokens.append(_Token("end", "<EOF>", len(source)))
    return tokens


def _unexpected(source: str, at: int) -> CompileError:
    return CompileError(source, at, f"Syntax error: token recognition error at: '{source[at : at + 1]}'")


def _integer(source: str, text: str, at: int) -> int:
    unsigned = text[-1] in "uU"
    number = int(text.rstrip("uU"), 0) if text[:2].lower() == "0x" else int(text.rstrip("uU"))
    if unsigned:
        if number >= 2**64:
            raise CompileError(source, at, "invalid uint literal")
        return UInt(number)
    if number > 2**63:  # 2^63 itself is only right after a minus
        raise CompileError(source, at, "invalid int literal")
    return number


def _string(source: str, text: str, at: int) -> str | bytes:
    prefix_length = next(i for i, character in enumerate(text) if character in "\"'")
    prefix, rest = text[:prefix_length].lower(), text[prefix_length:]
    quote = 3 if rest[:3] in ('"""', "'''") and len(rest) >= 6 else 1
    body = rest[quote:-quote]
    if "b" in prefix:
        return (
            body.encode() if "r" in prefix else _unescape(source, body, at, as_bytes=True).encode("latin-1")
        )
    return body if "r" in prefix else _unescape(source, body, at)


_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL
)


def _unescape(source: str, body: str, at: int, as_bytes: bool = False) -> str:
    """The text behind the escapes; for bytes, one character stands for one byte."""

    def replace(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) == 1:
            if escape not in _ESCAPES:
                raise CompileError(source, at, f"Syntax error: token recognition error at: '{match[0]}'")
            return _ESCAPES[escape]
        number = int(escape, 8) if escape[0].isdigit() else int(escape[1:], 16)
        if as_bytes and escape[0] in "uU":
            return chr(number).encode().decode("latin-1")
        return chr(number)

    if as_bytes:
        body = body.encode().decode("latin-1")
    return _ESCAPE.sub(replace, body) if "\\" in body else body


class _Parser:
    """Reads tokens from left to right, one ahead."""

    def __init__(self, source: str, tokens: Sequence[_Token]) -> None:
        self._source = source
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def whole(self) -> Node:
        """The expression, and nothing after it."""
        node = self._expression()
        token = self._peek()
        if token.kind != "end":
            raise self._error(token, f"Syntax error: mismatched input '{token.text}' expecting <EOF>")
        return node

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _accept(self, text: str) -> _Token | None:
        token = self._peek()
        if token.text == text and token.kind == "operator":
            self._next += 1
            return token
        return None

    def _expect(self, text: str) -> _Token:
        token = self._accept(text)
        if token is None:
            found = self._peek()
            raise self._error(found, f"Syntax error: mismatched input '{found.text}' expecting '{text}'")
        return token

    def _error(self, token: _Token, message: str) -> CompileError:
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
            elif self._peek().text == "{" and self._peek().kind == "operator" and (name := _dotted(node)):
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
        raise self._error(token, f"Syntax error: mismatched input '{token.text}' expecting {_EXPECTED}")

    def _named(self, token: _Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text in _RESERVED:
            raise self._error(token, f"reserved identifier: {token.text}")
        if opening := self._accept("("):
            return self._call(opening.at, token.text, None, self._arguments(")"))
        return Ident(token.at, token.text)

    def _call(self, at: int, name: str, target: Node | None, args: list[Node]) -> Node:
        if target is None and name == "has":
            if len(args) != 1 or not isinstance(args[0], Select):
                raise CompileError(self._source, at, "invalid argument to has() macro")
            return Macro(at, "has", None, [], args)
        if isinstance(target, Ident) and target.name == "cel" and name == "bind" and len(args) == 3:
            return Macro(at, "bind", None, [self._variable(args[0])], args[1:])
        count = _LOOPS.get(name, {}).get(len(args)) if target is not None else None
        if count is not None and all(isinstance(arg, Ident) for arg in args[:count]):
            return Macro(at, name, target, [self._variable(arg) for arg in args[:count]], args[count:])
        if count is not None and name not in ("map", "filter"):
            raise CompileError(self._source, args[0].at, "argument must be a simple name")
        return Call(at, name, target, args)

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

    def _list(self, opening: _Token) -> Node:
        items: list[Node] = []
        optional: set[int] = set()
        maybe = opening.text == "[?"
        while maybe or self._accept("]") is None:
            if maybe or self._accept("?"):
                optional.add(len(items))
            maybe = False
            items.append(self._expression())
            if self._accept(",") is None:
                self._expect("]")
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


_EXPECTED = (
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', "
    "NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
)


def _dotted(node: Node) -> str:
    """`Object.spec` as text, or nothing for what is no name."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional and (before := _dotted(node.operand)):
        return f"{before}.{node.field}"
    return ""


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it."""
    yield node
    for child in _children(node):
        yield from walk(child)


def _children(node: Node) -> list[Node]:
    match node:
        case Select():
            return [node.operand]
        case Call() | Macro():
            return [node.target, *node.args] if node.target is not None else node.args
        case MakeList():
            return node.items
        case MakeMap():
            return [part for key, value, _ in node.entries for part in (key, value)]
        case MakeStruct():
            return [value for _, value, _ in node.fields]
    return []
