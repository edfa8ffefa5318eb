"""The formats of text that upstream checks, each as a question: `FORMATS["ipv4"]("10.0.0.1")`.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import re2

from kubarium.apimachinery import names


@cache
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False  # a pattern that is too large for the fast way is no mistake
    return re2.compile(pattern, options)


def _matches(pattern: str) -> Callable[[str], bool]:
    """The pattern is compiled when it is first asked: that takes long, and few formats are ever used."""
    return lambda text: _compiled(pattern).search(text) is not None


_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))")


def _date_time(text: str) -> bool:
    day, _, rest = text.lower().partition("t")
    found = _TIME.fullmatch(rest.partition("t")[0])
    return _date(day) and found is not None and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def _date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


_LEADING_ZEROS = re.compile(r"(?<![0-9A-Fa-f:.])0+(?=[0-9]+\.)|(?<=\.)0+(?=[0-9])")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address without a zone; parts with leading zeros are read as decimals, as Go once did."""
    try:
        return None if "%" in text else ipaddress.ip_address(_LEADING_ZEROS.sub("", text))
    except ValueError:
        return None


def _is_ipv6(text: str) -> bool:
    try:
        return ":" in text and "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    found = _address(address)
    return found is not None and bool(slash) and bits.isdecimal() and int(bits) <= found.max_prefixlen


_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:.*", re.DOTALL)


def _uri(text: str) -> bool:
    """As Go's ParseRequestURI: an absolute path, or something with a scheme."""
    if any(ord(character) < 0x21 or ord(character) == 0x7F for character in text) or _ESCAPE.search(text):
        return False
    try:
        urlsplit(text).port  # noqa: B018  (Go looks at it, too)
    except ValueError:
        return False
    return text.startswith("/") or _SCHEME.fullmatch(text) is not None


_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL = rf'(?:{_ATOM}(?:\.{_ATOM})*|"(?:[^"\\\r\n]|\\.)*")'
_EMAIL = rf"\s*(?:(?:{_LOCAL}[ \t]*)*<{_LOCAL}@{_ATOM}(?:\.{_ATOM})*>|{_LOCAL}@{_ATOM}(?:\.{_ATOM})*)\s*"
_HOST = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}]"
    r"(([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_is_host = _matches(_HOST)
_is_ascii_host = _matches(
    _HOST.replace(r"\p{S}", r"$+<=>\^`|~").replace(r"\p{L}", "")
)  # a hundred times smaller


def _hostname(text: str) -> bool:
    is_host = _is_ascii_host if text.isascii() else _is_host
    octets = len(text.encode())
    return is_host(text) and octets <= 255 and all(len(part.encode()) <= 63 for part in text.split("."))


_GO_DURATION = re.compile(r"[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_WORDS = re.compile(r"(\d+)\s*([A-Za-zµ]+)")
_UNITS = re.compile(
    r"ns|nano.*|us|µs|micro.*|ms|milli.*|s|sec.*|m|min.*|h|hr|hour.*|d|day.*|w|wk|week.*", re.DOTALL
)


def _duration(text: str) -> bool:
    """As Go writes it, or as Scala does: `1h30m`, `2 days`. Of several parts with words one must be known."""
    return _GO_DURATION.fullmatch(text) is not None or any(
        _UNITS.fullmatch(unit.lower()) for _, unit in _WORDS.findall(text)
    )


_is_card = _matches(
    r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}"
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$"
)


def _credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return _is_card(digits) and sum(value % 10 + value // 10 for value in doubled) % 10 == 0


def _isbn10(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{9}X|[0-9]{10}", plain):
        return False
    values = [10 if digit == "X" else int(digit) for digit in plain]
    return sum((index + 1) * value for index, value in enumerate(values)) % 11 == 0


def _isbn13(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch(r"[0-9]{13}", plain):
        return False
    return sum(int(digit) * (1, 3)[index % 2] for index, digit in enumerate(plain)) % 10 == 0


_HEX = "[0-9a-fA-F]"
_BYTE_OF_COLOR = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_BASE64 = "[A-Za-z0-9+/]"

UNCHECKED = frozenset(("password",))
"""Formats that are known and accept anything."""

FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(f"^{_HEX}{{24}}$"),
    "uri": _uri,
    "email": lambda text: re.fullmatch(_EMAIL, text) is not None,
    "hostname": _hostname,
    "ipv4": lambda text: "." in text and _address(text) is not None,
    "ipv6": _is_ipv6,
    "cidr": _cidr,
    "mac": _matches(
        rf"^({_HEX}{{2}}:){{5}}({_HEX}{{2}}:{_HEX}{{2}}:)?{_HEX}{{2}}$|^({_HEX}{{2}}-){{5}}({_HEX}{{2}}-{_HEX}{{2}}-)?"
        rf"{_HEX}{{2}}$|^({_HEX}{{4}}\.){{2,3}}{_HEX}{{4}}$"
    ),
    "uuid": _matches(rf"^{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}$"),
    "uuid3": _matches(rf"^{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}$"),
    "uuid4": _matches(rf"^{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}$"),
    "uuid5": _matches(rf"^{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}$"),
    "isbn": lambda text: _isbn10(text) or _isbn13(text),
    "isbn10": _isbn10,
    "isbn13": _isbn13,
    "creditcard": _credit_card,
    "ssn": lambda text: len(text) == 11 and re.fullmatch(r"\d{3}[- ]?\d{2}[- ]?\d{4}", text) is not None,
    "hexcolor": _matches(rf"^#?({_HEX}{{3}}|{_HEX}{{6}})$"),
    "rgbcolor": _matches(rf"^rgb\({_BYTE_OF_COLOR},{_BYTE_OF_COLOR},{_BYTE_OF_COLOR}\)$"),
    "byte": _matches(f"^(?:{_BASE64}{{4}})*(?:{_BASE64}{{2}}==|{_BASE64}{{3}}=|{_BASE64}{{4}})$"),
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": _duration,
    "k8s-short-name": lambda text: not names.dns_label_errors(text),
    "k8s-long-name": lambda text: not names.dns_subdomain_errors(text),
}
