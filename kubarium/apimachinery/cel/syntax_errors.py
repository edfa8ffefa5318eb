"""All syntax errors of an expression: read on after each one, as upstream's parser does.

Upstream's parser is made by ANTLR. At a word that does not fit, its default strategy leaves one word out, or
thinks of one that is missing, or gives up the rule and goes on where an outer rule can; it tells nothing more
until a word fits again. This is only asked about expressions that are known to be wrong.

Source: https://github.com/antlr/antlr4/blob/master/doc/parser-rules.md#catching-exceptions, "The Definitive ANTLR 4
Reference", chapter 9.
"""

from __future__ import annotations

from collections.abc import Sequence as Series
from contextlib import suppress

from kubarium.apimachinery.cel.grammar import (
    DOT,
    ORDER,
    RULES,
    Choice,
    Many,
    Maybe,
    Sequence,
    Words,
    begins_with,
    first,
)
from kubarium.apimachinery.cel.nodes import CompileError, UInt
from kubarium.apimachinery.cel.tokens import RESERVED, Token

MOST_ATTEMPTS = 30
"""So often an expression is mended before it is given up."""


class _Stuck(Exception):
    """A rule cannot go on."""


class _GivenUp(Exception):
    """Too many mistakes."""


def _kind(token: Token) -> str:
    """What the grammar calls a word."""
    if token.kind == "end":
        return "<EOF>"
    if token.kind == "quoted":
        return "ESC_IDENTIFIER"
    if token.kind == "operator" or token.text in ("true", "false", "null", "in"):
        return f"'{token.text}'"
    if token.kind == "name":
        return "IDENTIFIER"
    return _VALUES[type(token.value)]


_VALUES = {int: "NUM_INT", UInt: "NUM_UINT", float: "NUM_FLOAT", str: "STRING", bytes: "BYTES"}


def syntax_errors(source: str, tokens: Series[Token]) -> list[CompileError]:
    """What is wrong with the order of the words, and which of them are reserved; nothing if all is well."""
    reader = _Reader(source, tokens)
    with suppress(_GivenUp, RecursionError):  # what is nested too deeply to be read has its first errors
        reader.call("start")
    return [*reader.errors, *reader.reserved] if reader.errors else []


class _Reader:
    """Reads the words by the rules.

    `_calls` holds for each rule that is being read what is left of it: of the innermost part first at the end.
    """

    def __init__(self, source: str, tokens: Series[Token]) -> None:
        self._source, self._tokens = source, tokens
        self._kinds = [_kind(token) for token in tokens]
        self._at = 0
        self._calls: list[list[Sequence]] = []
        self._is_mending = False  # until a word fits again nothing is told
        self._mended: set[Sequence] = set()  # where the rules stood that were given up at one word
        self._mended_at = -1
        self._attempts = 0
        self.errors: list[CompileError] = []
        self.reserved: list[CompileError] = []

    def word(self, ahead: int = 0) -> str:
        """The kind of a word that follows; the end follows itself."""
        return self._kinds[min(self._at + ahead, len(self._kinds) - 1)]

    def no_way(self, ahead: int) -> _Stuck:
        """No alternative goes on with the word that is so far ahead."""
        tokens = self._tokens[self._at : self._at + ahead + 1]
        text, end = "", tokens[0].at
        for token in tokens:  # what is no word at all is not told again
            text += "".join(filter(str.isspace, self._source[end : token.at])) + self._text(token)
            end = token.at + len(self._text(token))
        text = "<EOF>" if tokens[0].kind == "end" else text
        return _Stuck(f"no viable alternative at input '{_shown(text)}'", tokens[-1].at)

    def call(self, rule: str) -> None:
        """Read one rule; what cannot be read is told, and left out."""
        start = self._tokens[self._at]
        self._calls.append([])
        try:
            self._read(RULES[rule])
        except _Stuck as stuck:
            self._tell(*stuck.args)
            if rule == "identifier":
                self.reserved.append(CompileError(self._source, start.at, "unsupported ident kind"))
            self._give_up()
        self._calls.pop()

    def _read(self, elements: Sequence) -> None:
        left = self._calls[-1]
        left.append(elements)
        for number, element in enumerate(elements):
            left[-1] = elements[number:]
            match element:
                case Maybe(body):
                    self._look()
                    if self.word() in begins_with(body):
                        left[-1] = elements[number + 1 :]
                        self._read(body)
                case Many():
                    self._read_many(element, elements[number + 1 :])
                case Choice(alternatives, choose):
                    self._look()
                    chosen = alternatives[choose(self)]
                    left[-1] = elements[number + 1 :]
                    self._note_reserved(chosen)
                    self._read(chosen)
                case str() if element in RULES:
                    left[-1] = elements[number + 1 :]
                    self.call(element)
                case str() | frozenset():
                    self._match(element, elements[number + 1 :])
        left.pop()

    def _read_many(self, many: Many, following: Sequence) -> None:
        left = self._calls[-1]
        self._look()
        again = (many._replace(least=0), *following)
        wanted = many.least
        while wanted > 0 or self._goes_on(many):
            wanted -= 1
            left[-1] = again
            self._read(many.body)
            self._look(is_loop=True)

    def _goes_on(self, many: Many) -> bool:
        if many.ahead == 2 and self.word(1) not in begins_with(many.body[1:]):
            return False
        return self.word() in begins_with(many.body)

    def _note_reserved(self, chosen: Sequence) -> None:
        if chosen[0] is DOT and "'{'" not in chosen:
            name = self._tokens[self._at + (self.word() == "'.'")]
            if name.text in RESERVED:
                self.reserved.append(CompileError(self._source, name.at, f"reserved identifier: {name.text}"))

    def _match(self, wanted: str | Words, following: Sequence) -> None:
        """Take a word; or leave out the one before it, or think of one that is missing."""
        words = frozenset((wanted,)) if isinstance(wanted, str) else wanted
        if self.word() in words:
            self._fits()
        else:
            self._attempt()
            if self._leave_out():
                self._fits()
                return
            left = self._calls[-1]
            here, left[-1] = left[-1], following
            is_missing = self.word() in self._expected()
            left[-1] = here
            if not is_missing:
                raise self._mismatch()
            self._tell(f"missing {_told(self._expected())} at {self._shown()}")

    def _fits(self) -> None:
        self._take()
        self._is_mending, self._mended, self._mended_at = False, set(), -1

    def _take(self) -> None:
        self._at = min(self._at + 1, len(self._tokens) - 1)

    def _look(self, is_loop: bool = False) -> None:
        """Before a decision: does the next word fit at all?"""
        if self._is_mending:
            return
        words, may_end = self._left(self._calls[-1])
        if may_end or self.word() in words:
            return
        if is_loop:
            self._tell(f"extraneous input {self._shown()} expecting {_told(self._expected())}")
            self._skip_to(self._expected() | self._outer())
        elif not self._leave_out():
            raise self._mismatch()

    def _leave_out(self) -> bool:
        """Leave out the next word, if the one after it fits."""
        if self.word(1) not in self._expected():
            return False
        self._tell(f"extraneous input {self._shown()} expecting {_told(self._expected())}")
        self._take()
        self._is_mending = False
        return True

    def _mismatch(self) -> _Stuck:
        return _Stuck(f"mismatched input {self._shown()} expecting {_told(self._expected())}")

    def _attempt(self) -> None:
        if self._attempts == MOST_ATTEMPTS:
            self._is_mending = False
            self._tell(f"error recovery attempt limit exceeded: {MOST_ATTEMPTS}")
            raise _GivenUp
        self._attempts += 1

    def _give_up(self) -> None:
        """Go on where an outer rule can; not for ever at the same word."""
        self._attempt()
        state = self._calls[-1][-1]
        if self._mended_at == self._at and state in self._mended:
            self._take()
        self._mended_at = self._at
        self._mended.add(state)
        self._skip_to(self._outer())

    def _skip_to(self, words: Words) -> None:
        while self.word() not in words and self.word() != "<EOF>":
            self._take()

    @staticmethod
    def _left(parts: Series[Sequence]) -> tuple[Words, bool]:
        """What may follow in a rule, and whether it may end."""
        words: Words = frozenset()
        for part in reversed(parts):
            more, may_end = first(part)
            words |= more
            if not may_end:
                return words, False
        return words, True

    def _expected(self) -> Words:
        """Which words fit here."""
        words: Words = frozenset()
        for call in reversed(self._calls):
            more, may_end = self._left(call)
            words |= more
            if not may_end:
                return words
        return words | {"<EOF>"}

    def _outer(self) -> Words:
        """What may follow in the rules outside."""
        return frozenset().union(*(self._left(call)[0] for call in self._calls[:-1]))

    def _text(self, token: Token) -> str:
        if token.kind == "end":
            return ""
        return f"`{token.text}`" if token.kind == "quoted" else token.text

    def _shown(self) -> str:
        return f"'{_shown(self._text(self._tokens[self._at]) or '<EOF>')}'"

    def _tell(self, message: str, at: int | None = None) -> None:
        if not self._is_mending:
            self._is_mending = True
            at = self._tokens[self._at].at if at is None else at
            self.errors.append(CompileError(self._source, at, f"Syntax error: {message}"))


def _shown(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _told(words: Words) -> str:
    if len(words) == 1:
        return next(iter(words))
    return f"{{{', '.join(sorted(words, key=ORDER.index))}}}"
