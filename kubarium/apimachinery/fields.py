"""Field selectors: `spec.nodeName=n1,status.phase!=Running` over a declared set of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kubarium.apimachinery.object import Object, name_of, namespace_of

FieldGetter = Callable[[Object], str]
"""Reads one selectable field of an object as text."""

METADATA_FIELDS: dict[str, FieldGetter] = {"metadata.name": name_of, "metadata.namespace": namespace_of}
"""What can be selected on every kind."""


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One field equals, or does not equal, a text."""

    field: str
    value: str
    equals: bool = True


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All requirements must hold."""

    requirements: tuple[FieldRequirement, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Does it select whatever comes?"""
        return not self.requirements

    def matches(self, obj: Object, getters: Mapping[str, FieldGetter]) -> bool:
        """Is the object selected? Every field must have a getter."""
        return all((getters[r.field](obj) == r.value) is r.equals for r in self.requirements)

    def exact(self, field: str) -> str | None:
        """The value that a field must have, if the selector demands one."""
        return next((r.value for r in self.requirements if r.field == field and r.equals), None)

    def __str__(self) -> str:
        return ",".join(f"{r.field}{'=' if r.equals else '!='}{r.value}" for r in self.requirements)


class ParseError(ValueError):
    """The text is not a field selector."""


def parse(text: str) -> FieldSelector:
    """Parse the text form; `\\`, `,` and `=` in a value are escaped with a backslash. Raises ParseError."""
    found = []
    for term in _split_terms(text):
        if not term:
            continue
        for operator in ("!=", "==", "="):
            at = term.find(operator)
            if at >= 0:
                field, value = term[:at].strip(), _unescape(term[at + len(operator) :])
                found.append(FieldRequirement(field, value, operator != "!="))
                break
        else:
            raise ParseError(f"invalid selector: '{text}'; can't understand '{term}'")
    return FieldSelector(tuple(found))


def _split_terms(text: str) -> list[str]:
    terms, start, escaped = [], 0, False
    for index, character in enumerate(text):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            terms.append(text[start:index])
            start = index + 1
    return [*terms, text[start:]]


def _unescape(text: str) -> str:
    out, escaped = [], False
    for character in text:
        if escaped:
            if character not in "\\,=":
                raise ParseError(f"invalid field selector: invalid escape sequence: \\{character}")
            out.append(character)
            escaped = False
        elif character == "\\":
            escaped = True
        elif character in ",=":
            raise ParseError(f"invalid field selector: unescaped character in value: {character}")
        else:
            out.append(character)
    if escaped:
        raise ParseError("invalid field selector: unterminated escape sequence")
    return "".join(out)
