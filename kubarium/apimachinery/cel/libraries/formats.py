"""Named formats, and what is wrong with a text by one of them.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-format-library
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kubarium.apimachinery import names
from kubarium.apimachinery.cel.call_costs import tenths
from kubarium.apimachinery.cel.functions import function, register_class
from kubarium.apimachinery.cel.libraries.optionals import NONE, Optional
from kubarium.apimachinery.schema.formats import FORMATS


class Format(NamedTuple):
    """A named rule for text: a list of what is wrong."""

    name: str
    errors: Callable[[str], Sequence[str]]


register_class("format", Format)


def _by_format(name: str, message: str) -> Callable[[str], Sequence[str]]:
    return lambda text: [] if FORMATS[name](text) else [message]


def _prefix(rule: Callable[[str], Sequence[str]]) -> Callable[[str], Sequence[str]]:
    return lambda text: rule(text[:-1] + "a" if text.endswith("-") else text)


_FORMATS = {
    "dns1123Label": names.dns_label_errors,
    "dns1123Subdomain": names.dns_subdomain_errors,
    "dns1035Label": names.dns_1035_errors,
    "qualifiedName": names.qualified_name_errors,
    "labelValue": names.label_value_errors,
    "dns1123LabelPrefix": _prefix(names.dns_label_errors),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain_errors),
    "dns1035LabelPrefix": _prefix(names.dns_1035_errors),
    "uri": _by_format("uri", "invalid URI"),
    "uuid": _by_format("uuid", "does not match the UUID format"),
    "byte": _by_format("byte", "invalid base64"),
    "date": _by_format("date", "invalid date"),
    "datetime": _by_format("datetime", "invalid datetime"),
}


_PATTERNS = {
    "dns1123Label": 30, "dns1123Subdomain": 60, "dns1035Label": 30, "qualifiedName": 60, "dns1123LabelPrefix": 30,
    "dns1123SubdomainPrefix": 60, "dns1035LabelPrefix": 30, "labelValue": 40,
    "uri": 1103, "uuid": 70, "byte": 84, "date": 71, "datetime": 71,
}  # fmt: skip
"""How long upstream takes their patterns to be, for the costs."""


def _register_formats() -> None:
    for name, errors in _FORMATS.items():
        made = Format(name, errors)
        function(f"format::{name} | -> format")(lambda made=made: made)


_register_formats()


@function("format::named | string -> optional(format)")
def _named_format(name: str) -> Optional:
    errors = _FORMATS.get(name)
    return Optional(True, Format(name, errors)) if errors is not None else NONE


def _by_pattern(rule: Format, text: str) -> int:
    return tenths(1 + len(text)) * -(-_PATTERNS[rule.name] // 4)


@function("format.validate | string -> optional(list(string))", cost=_by_pattern)
def _validate(rule: Format, text: str) -> Optional:
    errors = list(rule.errors(text))
    return Optional(True, errors) if errors else NONE
