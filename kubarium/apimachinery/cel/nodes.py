"""What an expression consists of: its syntax tree. Every node carries its offset in the text, for error messages.

Macros (`has`, `all`, `exists`, `map`, ...) stay as they are written, as a `Macro` node; the checker and the compiler
know what they mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_ERRORS = 100
_WIDE_DOT, _WIDE_MARK = "\uff0e", "\uff3e"  # under characters that are not ASCII


class CompileError(ValueError):
    """The expression is wrong; the text shows where, as upstream's compiler does."""

    def __init__(self, source: str, offset: int, message: str, *others: CompileError) -> None:
        """`others` are more mistakes in the same text; all are told in the order of their places."""
        line = source.count("\n", 0, offset) + 1
        start = source.rfind("\n", 0, offset) + 1
        shown = source[start:].split("\n", 1)[0].replace("\t", " ")
        before, at = shown[: offset - start], shown[offset - start : offset - start + 1]
        dots = "".join("." if character.isascii() else _WIDE_DOT for character in before)
        mark = "^" if at.isascii() else _WIDE_MARK
        self.offset = offset
        self.text = f"ERROR: <input>:{line}:{len(before) + 1}: {message}\n | {shown}\n | {dots}{mark}"
        told = [one.text for one in sorted((self, *others), key=lambda one: one.offset)]
        if len(told) > _MOST_ERRORS:
            told[_MOST_ERRORS:] = [f"{len(told) - _MOST_ERRORS} more errors were truncated"]
        super().__init__("\n".join(told))
        self.source, self.message = source, message

    @classmethod
    def joined(cls, errors: Sequence[CompileError]) -> CompileError:
        """All errors as one."""
        first, *others = errors
        return cls(first.source, first.offset, first.message, *others) if others else first


class Unusable(CompileError):
    """All types fit, but a value that stands in the text cannot be made."""

    def __init__(self, message: str) -> None:
        ValueError.__init__(self, message)


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
