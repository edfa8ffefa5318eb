"""Pieces become nodes: text, pipelines, and the blocks `if`, `with`, `range`, `define`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kubarium.kubectl.go_template.functions import FUNCTIONS
from kubarium.kubectl.go_template.lexer import Piece, TemplateError, at, pieces

BLOCKS = ("if", "with", "range", "define", "block")


@dataclass(frozen=True)
class Operand:
    """One word of a command; `sort`: value, dot, field, variable, function or pipeline; then a path of fields."""

    sort: str
    value: Any
    path: tuple[str, ...] = ()
    place: int = 0


@dataclass(frozen=True)
class Pipeline:
    """`$a, $b := command | command`."""

    commands: tuple[tuple[Operand, ...], ...]
    variables: tuple[str, ...] = ()
    declares: bool = False
    place: int = 0


@dataclass(frozen=True)
class Node:
    """Text, an action, a block with its two branches, or a call of another template."""

    sort: str
    text: str = ""
    pipeline: Pipeline | None = None
    body: tuple[Node, ...] = ()
    other: tuple[Node, ...] = ()


@dataclass
class Template:
    """What is run, and the templates that it defines."""

    source: str
    nodes: tuple[Node, ...] = ()
    named: dict[str, tuple[Node, ...]] = field(default_factory=dict)


def parse(source: str) -> Template:
    """Read a template. Raises TemplateError."""
    template = Template(source)
    reader = _Reader(template, list(pieces(source)))
    template.nodes, _ = reader.nodes(inside="")
    return template


class _Reader:
    def __init__(self, template: Template, found: Sequence[Piece]) -> None:
        self._template = template
        self._pieces = found
        self._next = 0
        self._variables = ["$"]
        self._ranges = 0  # that we are inside of

    def nodes(self, inside: str) -> tuple[tuple[Node, ...], str]:
        """All up to `end` or `else`; returns with which of the two."""
        found: list[Node] = []
        while self._next < len(self._pieces):
            piece = self._take()
            if piece.sort == "text":
                found.append(Node("text", piece.text))
                continue
            self._skip_space()
            word = self._peek().text
            if word in ("end", "else"):
                if not inside:
                    raise self._error("unexpected {{" + word + "}}")
                self._take()
                if word == "end":
                    self._close("end")
                return tuple(found), word
            found.append(self._action())
        if inside:
            raise self._error("unexpected EOF")
        return tuple(found), ""

    def _action(self) -> Node:
        piece = self._peek()
        word = piece.text if piece.sort == "name" else ""
        if word in BLOCKS:
            self._take()
            return self._named(word) if word in ("define", "block") else self._block(word)
        if word in ("break", "continue"):
            self._take()
            self._close(word)
            if not self._ranges:
                raise self._error("{{" + word + "}} outside {{range}}")
            return Node(word)
        if word == "template":
            self._take()
            name = self._string("template clause")
            self._skip_space()
            given = None if self._peek().sort == "close" else self._pipeline("template clause")
            self._close("template clause")
            return Node("template", name, given)
        pipeline = self._pipeline("command")
        self._close("command")
        return Node("action", pipeline=pipeline)

    def _block(self, word: str) -> Node:
        known = len(self._variables)
        pipeline = self._pipeline(word)
        self._close(word)
        self._ranges += word == "range"
        body, end = self.nodes(word)
        self._ranges -= word == "range"
        other: tuple[Node, ...] = ()
        if end == "else":
            self._skip_space()
            if self._peek().text == word and word != "range":
                self._take()
                other = (self._block(word),)
            else:
                self._close("else")
                other, end = self.nodes(word)
                if end == "else":
                    raise self._error("expected end; found {{else}}")
        del self._variables[known:]
        return Node(word, pipeline=pipeline, body=body, other=other)

    def _named(self, word: str) -> Node:
        name = self._string(f"{word} clause")
        given = self._pipeline("block clause") if word == "block" else None
        self._close(f"{word} clause")
        known, self._variables = self._variables, ["$"]
        self._template.named[name], _ = self.nodes(word)
        self._variables = known
        return Node("template", name, given) if given else Node("text")

    def _pipeline(self, context: str) -> Pipeline:
        self._skip_space()
        place = self._peek().place
        variables, declares = self._declaration(context)
        commands = [self._command()]
        while self._peek().text == "|":
            self._take()
            commands.append(self._command())
        if not all(commands):
            raise self._error(
                f"missing value for {context}" if len(commands) == 1 else "missing value for command"
            )
        self._variables += variables if declares else []
        return Pipeline(tuple(commands), tuple(variables), declares, place)

    def _declaration(self, context: str) -> tuple[list[str], bool]:
        start, names = self._next, []
        while self._peek().sort == "variable":
            names.append(self._take().text)
            self._skip_space()
            sign = self._peek().text
            if sign in (":=", "="):
                self._take()
                if sign == "=":
                    self._known(names[-1])
                return names, sign == ":="
            if sign != "," or context != "range":
                break
            self._take()
            self._skip_space()
        self._next = start
        return [], False

    def _command(self) -> tuple[Operand, ...]:
        found: list[Operand] = []
        while True:
            self._skip_space()
            if self._peek().sort in ("close", "sign") and self._peek().text != "(":
                return tuple(found)
            found.append(self._operand())
            if self._peek().sort not in ("space", "close", "sign"):
                raise self._error(f"unexpected {self._shown(self._peek())} in operand")

    def _operand(self) -> Operand:
        piece = self._take()
        sort, value = piece.sort, _value(piece)
        if sort == "field":
            place = self._place(piece)
            return Operand("dot", None, (piece.text[1:], *self._path()), place)
        if sort == "variable":
            place = self._place(piece)
            return Operand("variable", self._known(piece.text), self._path(), place)
        if sort == "name" and piece.text not in ("true", "false", "nil"):
            if piece.text not in FUNCTIONS:
                raise self._error(f'function "{piece.text}" not defined')
            return Operand("function", piece.text, (), piece.place)
        if sort == "sign":
            inner = self._pipeline("parenthesized pipeline")
            if self._peek().text != ")":
                raise self._error("unclosed left paren")
            self._take()
            return Operand("pipeline", inner, self._path(), piece.place)
        return Operand("dot" if sort == "dot" else "value", value, (), piece.place)

    def _place(self, piece: Piece) -> int:
        """Go names the place of the second field of a path."""
        return self._peek().place if self._peek().sort == "field" else piece.place

    def _path(self) -> tuple[str, ...]:
        found: list[str] = []
        while self._peek().sort == "field":
            found.append(self._take().text[1:])
        return tuple(found)

    def _known(self, name: str) -> str:
        if name not in self._variables:
            raise self._error(f'undefined variable "{name}"')
        return name

    def _string(self, context: str) -> str:
        self._skip_space()
        piece = self._take()
        if piece.sort not in ("string", "raw"):
            raise self._error(f"unexpected {self._shown(piece)} in {context}")
        return str(_value(piece))

    def _close(self, context: str) -> None:
        self._skip_space()
        piece = self._take()
        if piece.sort != "close":
            raise self._error(f"unexpected {self._shown(piece)} in {context}")

    def _skip_space(self) -> None:
        while self._next < len(self._pieces) and self._peek().sort == "space":
            self._next += 1

    def _peek(self) -> Piece:
        return self._pieces[self._next]

    def _take(self) -> Piece:
        self._next += 1
        return self._pieces[self._next - 1]

    def _shown(self, piece: Piece) -> str:
        return f"<{piece.text}>" if piece.sort in ("field", "dot") else f'"{piece.text}"'

    def _error(self, text: str) -> TemplateError:
        piece = self._pieces[min(self._next, len(self._pieces)) - 1]
        return TemplateError(f"{at(self._template.source, piece.place)}: {text}")


def _value(piece: Piece) -> Any:
    """What a literal stands for."""
    match piece.sort:
        case "string":
            return ast.literal_eval(piece.text)
        case "raw":
            return piece.text[1:-1]
        case "char":
            return ord(ast.literal_eval(piece.text))
        case "number":
            try:
                return int(piece.text, 0)
            except ValueError:
                return float(piece.text)
    return {"true": True, "false": False}.get(piece.text)
