"""CEL source text -> words: names, operators, and literals with their values.

Source: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from kubarium.apimachinery.cel.nodes import CompileError, UInt


class Token(NamedTuple):
    """One word, and what it stands for if it is a literal."""

    kind: str
    text: str
    at: int
    value: Any = None


KEYWORDS = frozenset(("true", "false", "null", "in"))
RESERVED = KEYWORDS | frozenset(
    (
        "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    )
)  # fmt: skip

_PREFIX = "(?:[rR][bB]?|[bB][rR]?)?"
_ESCAPED = r"""\\(?:[abfnrtv?\"'`\\]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"""
_LONG = r"\"\"\"(?s:.*?)(?<!\\)\"\"\"|'''(?s:.*?)(?<!\\)'''"
_SHORT = rf"""\"(?:{_ESCAPED}|[^\"\\\n])*\"|'(?:{_ESCAPED}|[^'\\\n])*'"""
_TOKEN = re.compile(
    r"(?P<space>\s+|//[^\n]*)"
    r"|(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<int>0[xX][0-9a-fA-F]+[uU]?|\d+[uU]?)"
    rf"|(?P<string>{_PREFIX}(?:{_LONG}|{_SHORT}))"
    r"|(?P<quoted>`[a-zA-Z0-9_.\-/ ]+`)"
    r"|(?P<name>[_a-zA-Z][_a-zA-Z0-9]*)"
    r"|(?P<operator>&&|\|\||<=|>=|==|!=|[-+*/%<>!?:.,()\[\]{}])"
)
_RAW = re.compile(r"(?P<prefix>[rR][bB]?)(?P<quote>\"\"\"|'''|\"|')")
_ESCAPES = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "?": "?", '"': '"',
    "'": "'", "`": "`",
}  # fmt: skip


def tokens_of(source: str) -> tuple[list[Token], list[CompileError]]:
    """All words up to the end, and what is none: it is left out. Raises CompileError for values that cannot be."""
    tokens: list[Token] = []
    errors: list[CompileError] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        # A raw string may end in a backslash, which the pattern above takes for an escape.
        raw = _RAW.match(source, at)
        end = source.find(raw["quote"], raw.end()) if raw is not None else -1
        if raw is not None and end >= 0 and (len(raw["quote"]) == 3 or "\n" not in source[at:end]):
            text = source[at : end + len(raw["quote"])]
            tokens.append(Token("literal", text, at, _string(source, text, at)))
            at += len(text)
            continue
        if match is None:
            end = _end_of_nothing(source, at)
            errors.append(_unexpected(source, at, end))
            at = end
            continue
        kind, text = str(match.lastgroup), match.group()
        if kind == "int":
            tokens.append(Token("literal", text, at, _integer(source, text, at)))
        elif kind == "float":
            if math.isinf(float(text)):
                raise CompileError(source, at, "invalid double literal")
            tokens.append(Token("literal", text, at, float(text)))
        elif kind == "string":
            tokens.append(Token("literal", text, at, _string(source, text, at)))
        elif kind == "quoted":
            tokens.append(Token("quoted", text[1:-1], at))
        elif kind != "space":
            tokens.append(Token(kind, text, at))
        at = match.end()
    tokens.append(Token("end", "<EOF>", len(source)))
    return tokens, errors


_CUT = r"\\(?:[xX][0-9a-fA-F]?|u[0-9a-fA-F]{0,3}|U[0-9a-fA-F]{0,7}|[0-3][0-7]?)?[^\n]?"
_UNENDED = re.compile(
    rf"(?:\"(?:{_ESCAPED}|[^\"\\\n])*|'(?:{_ESCAPED}|[^'\\\n])*)(?:{_CUT})?|`[a-zA-Z0-9_.\-/ ]*[^\n]?"
)


def _end_of_nothing(source: str, at: int) -> int:
    """Where a word ends that is none: with the character by which that is seen."""
    unended = _UNENDED.match(source, at)
    if unended is not None and unended.end() > at:
        return unended.end()
    return min(at + (2 if source[at] in "&|=" else 1), len(source))


def _unexpected(source: str, at: int, end: int) -> CompileError:
    return CompileError(source, at, f"Syntax error: token recognition error at: '{source[at:end]}'")


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
