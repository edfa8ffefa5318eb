"""A template becomes pieces: text, and the words of its actions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

NAME = "output"  # what kubectl calls its template in errors
SPACE = " \t\r\n"

_WORD = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<raw>`[^`]*`)
      | (?P<char>'(?:\\.|[^'\\\n])+')
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+))
      | (?P<variable>\$\w*)
      | (?P<field>\.[^\W\d]\w*)
      | (?P<dot>\.)
      | (?P<name>[^\W\d]\w*)
      | (?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)


class TemplateError(Exception):
    """The template cannot be read, or what it asks for cannot be done."""


@dataclass(frozen=True)
class Piece:
    """A run of text, or one word of an action; `place` is where it stands in the template."""

    sort: str
    text: str
    place: int


def at(template: str, place: int) -> str:
    """`output:1`, as Go names a line of a template."""
    return f"template: {NAME}:{template.count(chr(10), 0, place) + 1}"


def pieces(template: str) -> Iterator[Piece]:
    """Text, and actions as `open`, words, `close`. Raises TemplateError."""
    place, trimmed = 0, False
    while place < len(template):
        opened = template.find("{{", place)
        text = template[place:] if opened < 0 else template[place:opened]
        after = text.lstrip(SPACE) if trimmed else text
        if opened < 0:
            yield Piece("text", after, place)
            return
        start = opened + 2
        if template[start : start + 1] == "-" and template[start + 1 : start + 2] in tuple(SPACE):
            after, start = after.rstrip(SPACE), start + 2
        yield Piece("text", after, place)
        if template.startswith("/*", start):
            place, trimmed = _after_comment(template, start)
            continue
        yield Piece("open", "{{", opened)
        closed = start
        for word in _words(template, start):
            yield word
            closed = word.place
        trimmed = template[closed] == "-"
        place = closed + (3 if trimmed else 2)


def _after_comment(template: str, start: int) -> tuple[int, bool]:
    end = template.find("*/", start)
    if end < 0:
        raise TemplateError(f"{at(template, start)}: unclosed comment")
    rest = template[end + 2 :]
    if rest.startswith("}}"):
        return end + 4, False
    if re.match(r"[ \t\r\n]-\}\}", rest):
        return end + 6, True
    raise TemplateError(f"{at(template, start)}: comment ends before closing delimiter")


def _words(template: str, place: int) -> Iterator[Piece]:
    """The words of an action; the last one is its end."""
    while True:
        if template.startswith("}}", place) or _ends_trimmed(template, place):
            yield Piece("close", "}}", place)
            return
        if place >= len(template):
            raise TemplateError(f"{at(template, place)}: unclosed action")
        match = _WORD.match(template, place)
        if match is None or match.lastgroup is None:
            raise _unreadable(template, place)
        yield Piece(match.lastgroup, match.group(), place)
        place = match.end()


def _ends_trimmed(template: str, place: int) -> bool:
    return template.startswith("-}}", place) and template[place - 1] in SPACE


def _unreadable(template: str, place: int) -> TemplateError:
    character = template[place]
    if character == '"':
        return TemplateError(f"{at(template, place)}: unterminated quoted string")
    if character == "`":
        return TemplateError(f"{at(template, place)}: unterminated raw quoted string")
    if character == "'":
        return TemplateError(f"{at(template, place)}: unterminated character constant")
    code = f"U+{ord(character):04X} '{character}'"
    what = "bad character" if template[place - 1].isalnum() else "unrecognized character in action:"
    return TemplateError(f"{at(template, place)}: {what} {code}")
