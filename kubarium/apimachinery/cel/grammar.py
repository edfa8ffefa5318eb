"""CEL's grammar as upstream's parser has it: rules, the words with which they begin, and how alternatives are chosen.

Source: https://github.com/google/cel-go/blob/master/parser/gen/CEL.g4
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Protocol

ORDER = (
    *(
        "<EOF>",
        "'=='",
        "'!='",
        "'in'",
        "'<'",
        "'<='",
        "'>='",
        "'>'",
        "'&&'",
        "'||'",
        "'['",
        "']'",
        "'{'",
        "'}'",
    ),
    *(
        "'('",
        "')'",
        "'.'",
        "','",
        "'-'",
        "'!'",
        "'?'",
        "':'",
        "'+'",
        "'*'",
        "'/'",
        "'%'",
        "'true'",
        "'false'",
    ),
    *("'null'", "NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "IDENTIFIER", "ESC_IDENTIFIER"),
)
"""The kinds of words, in the order in which they are told."""


class Maybe(NamedTuple):
    """Something that may be absent."""

    body: Sequence


class Many(NamedTuple):
    """Something that may be there several times; with `ahead`, two words show whether it is there again."""

    body: Sequence
    ahead: int = 1
    least: int = 0


class Choice(NamedTuple):
    """One of several; `choose` looks ahead which."""

    alternatives: tuple[Sequence, ...]
    choose: Callable[[Lookahead], int]


Element = str | frozenset[str] | Maybe | Many | Choice
Sequence = tuple[Element, ...]
Words = frozenset[str]


class Lookahead(Protocol):
    """What is asked to choose an alternative."""

    def word(self, ahead: int = 0) -> str:
        """The kind of a word that follows."""
        ...

    def no_way(self, ahead: int) -> Exception:
        """No alternative goes on with the word that is so far ahead."""
        ...


def _nothing(ahead: Lookahead) -> int:
    raise ahead.no_way(0)


def _sign(ahead: Lookahead) -> int:
    """A number may have its own minus; any other is an operator."""
    if ahead.word() == "'!'":
        return 1
    if ahead.word() != "'-'":
        return 0
    if ahead.word(1) not in begins_with(("member",)):
        raise ahead.no_way(1)
    return 0 if ahead.word(1) in ("NUM_INT", "NUM_FLOAT") else 2


def _suffix(ahead: Lookahead) -> int:
    """A field, a method, or an item."""
    if ahead.word() == "'['":
        return 2
    if ahead.word(1) not in ("'?'", "IDENTIFIER", "ESC_IDENTIFIER"):
        raise ahead.no_way(1)
    return 1 if ahead.word(1) == "IDENTIFIER" and ahead.word(2) == "'('" else 0


def _primary(ahead: Lookahead) -> int:
    """A variable, a function, something in brackets, or a literal."""
    if ahead.word() in _BRACKETS:
        return _BRACKETS[ahead.word()]
    if ahead.word() not in ("'.'", "IDENTIFIER"):
        return 6 if ahead.word() in begins_with(("literal",)) else _nothing(ahead)
    at = 1 if ahead.word() == "'.'" else 0
    if ahead.word(at) != "IDENTIFIER":
        raise ahead.no_way(at)
    if ahead.word(at + 1) == "'('":
        return 1
    while ahead.word(at + 1) == "'.'" and ahead.word(at + 2) == "IDENTIFIER":
        at += 2
    return 5 if ahead.word(at + 1) == "'{'" else 0


_BRACKETS = {"'('": 2, "'['": 3, "'{'": 4}


def _literal(ahead: Lookahead) -> int:
    word = ahead.word(1 if ahead.word() == "'-'" else 0)
    return _LITERALS.index(word) if word in _LITERALS else _nothing(ahead)


def _identifier(ahead: Lookahead) -> int:
    if ahead.word() not in ("IDENTIFIER", "ESC_IDENTIFIER"):
        return _nothing(ahead)
    return 0 if ahead.word() == "IDENTIFIER" else 1


_LITERALS = ("NUM_INT", "NUM_UINT", "NUM_FLOAT", "STRING", "BYTES", "'true'", "'false'", "'null'")
_QUESTION, DOT, _COMMA, _MINUS = (Maybe((mark,)) for mark in ("'?'", "'.'", "','", "'-'"))
_ARGUMENTS: Sequence = ("'('", Maybe(("arguments",)), "')'")
_RELATIONS = frozenset(("'<'", "'<='", "'>='", "'>'", "'=='", "'!='", "'in'"))
RULES: dict[str, Sequence] = {
    "start": ("expr", "<EOF>"),
    "expr": ("or", Maybe(("'?'", "or", "':'", "expr"))),
    "or": ("and", Many(("'||'", "and"))),
    "and": ("relation", Many(("'&&'", "relation"))),
    "relation": ("calc", Many((_RELATIONS, "calc"))),
    "calc": ("unary", Many((frozenset(("'*'", "'/'", "'%'", "'+'", "'-'")), "unary"))),
    "unary": (
        Choice(
            (
                ("member",),
                (Many(("'!'",), least=1), "member"),
                (Many(("'-'",), least=1), "member"),
            ),
            _sign,
        ),
    ),
    "member": (
        "primary",
        Many(
            (
                Choice(
                    (
                        ("'.'", _QUESTION, "identifier"),
                        ("'.'", "IDENTIFIER", *_ARGUMENTS),
                        ("'['", _QUESTION, "expr", "']'"),
                    ),
                    _suffix,
                ),
            )
        ),
    ),
    "primary": (
        Choice(
            (
                (DOT, "IDENTIFIER"),
                (DOT, "IDENTIFIER", *_ARGUMENTS),
                ("'('", "expr", "')'"),
                ("'['", Maybe(("items",)), _COMMA, "']'"),
                ("'{'", Maybe(("entries",)), _COMMA, "'}'"),
                (
                    *(DOT, "IDENTIFIER", Many(("'.'", "IDENTIFIER"))),
                    *("'{'", Maybe(("fields",)), _COMMA, "'}'"),
                ),
                ("literal",),
            ),
            _primary,
        ),
    ),
    "arguments": ("expr", Many(("','", "expr"))),
    "items": ("item", Many(("','", "item"), ahead=2)),
    "item": (_QUESTION, "expr"),
    "entries": ("item", "':'", "expr", Many(("','", "item", "':'", "expr"), ahead=2)),
    "fields": ("field", "':'", "expr", Many(("','", "field", "':'", "expr"), ahead=2)),
    "field": (_QUESTION, "identifier"),
    "identifier": (Choice((("IDENTIFIER",), ("ESC_IDENTIFIER",)), _identifier),),
    "literal": (
        Choice(
            tuple((_MINUS, word) if word in ("NUM_INT", "NUM_FLOAT") else (word,) for word in _LITERALS),
            _literal,
        ),
    ),
}


@cache
def first(elements: Sequence) -> tuple[Words, bool]:
    """The words with which something may begin, and whether it may be empty."""
    words: Words = frozenset()
    for element in elements:
        more, may_end = _first_of(element)
        words |= more
        if not may_end:
            return words, False
    return words, True


def _first_of(element: Element) -> tuple[Words, bool]:
    match element:
        case str():
            return first(RULES[element]) if element in RULES else (frozenset((element,)), False)
        case Maybe(body):
            return first(body)[0], True
        case Many(body, _, least):
            return first(body)[0], least == 0
        case Choice(alternatives):
            every = [first(one) for one in alternatives]
            return frozenset().union(*(words for words, _ in every)), any(may_end for _, may_end in every)
    return element, False


def begins_with(elements: Sequence) -> Words:
    """The words with which something may begin."""
    return first(elements)[0]
