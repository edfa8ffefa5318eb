"""Why a text is no address or network, in the words of Go's package net/netip, which upstream's expressions repeat."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator

FIELDS = 8  # of an address of version 6


def address_problem(text: str) -> str:
    """What is wrong with a text that is no address."""
    first = re.search(r"[.:%]", text)
    if first is None:
        return _told(text, "unable to parse IP")
    if first[0] == "%":
        return _told(text, "missing IPv6 address")
    if first[0] == ":" and text.endswith("%"):
        return _told(text, "zone must be a non-empty string")
    return _told(text, *next(_wrong4(text) if first[0] == "." else _wrong6(text.partition("%")[0])))


def network_problem(text: str) -> str:
    """What is wrong with a text that is no network; nothing where net/netip could read it."""
    address, slash, bits = text.rpartition("/")
    if not slash:
        return _told(text, "no '/'", what="netip.ParsePrefix")
    try:
        ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return _told(text, address_problem(address), what="netip.ParsePrefix")
    if "%" in address:
        return _told(text, "IPv6 zones cannot be present in a prefix", what="netip.ParsePrefix")
    if re.fullmatch(r"\d|[1-9]\d+", bits) is None:
        return _told(text, f"bad bits after slash: {_quoted(bits)}", what="netip.ParsePrefix")
    if int(bits) > (128 if ":" in address else 32):
        return _told(text, "prefix length out of range", what="netip.ParsePrefix")
    return ""


def _told(text: str, problem: str, at: str = "", what: str = "ParseAddr") -> str:
    place = f" (at {_quoted(at)})" if at else ""
    return f"{what}({_quoted(text)}): {problem}{place}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


Problem = tuple[str, str]
"""A problem, and the rest of the text from where it shows."""


def _wrong4(text: str) -> Iterator[Problem]:
    """The problems of an address of version 4, the first one first."""
    digits, fields = "", 0
    for index, character in enumerate(text):
        rest = text[index:]
        if character.isascii() and character.isdigit():
            if digits == "0":
                yield "IPv4 field has octet with leading zero", ""
            digits += character
            if int(digits) > 255:
                yield "IPv4 field has value >255", ""
        elif character != ".":
            yield "unexpected character", rest
        elif not digits or len(rest) == 1:
            yield "IPv4 field must have at least one digit", rest
        elif fields == 3:
            yield "IPv4 address too long", ""
        else:
            digits, fields = "", fields + 1
    yield "IPv4 address too short", ""


def _wrong6(text: str) -> Iterator[Problem]:
    """The same for version 6; an address of version 4 at its end is not looked into."""
    shortened = text.startswith("::")
    rest, fields = text[2:] if shortened else text, 0
    while rest and fields < FIELDS:
        match = re.match(r"[0-9a-fA-F]*", rest)
        assert match is not None
        if len(match[0]) > 4:
            yield "each group must have 4 or less digits", rest
        if not match[0]:
            yield "each colon-separated field must have at least one digit", rest
        if rest[match.end() :].startswith(".") and not shortened and fields != FIELDS - 2:
            yield "embedded IPv4 address must replace the final 2 fields of the address", rest
        rest, fields = rest[match.end() :], fields + 1
        if rest[:1] not in ("", ":"):
            yield "unexpected character, want colon", rest
        if rest == ":":
            yield "colon must be followed by more characters", rest
        rest = rest[1:]
        if rest.startswith(":"):
            if shortened:
                yield "multiple :: in address", rest
            shortened, rest = True, rest[1:]
    if rest:
        yield "trailing garbage after address", rest
    if fields == FIELDS and shortened:
        yield "the :: must expand to at least one field of zeros", ""
    yield "address string too short", ""
