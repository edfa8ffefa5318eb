"""The formats of text that upstream checks, each as a question: `FORMATS["ipv4"]("10.0.0.1")`.

Source: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from datetime import date, datetime
from urllib.parse import urlsplit

from kubarium.apimachinery import names


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _date_time(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)?", text):
        return False
    try:
        datetime.fromisoformat(re.sub(r"[.,]\d+", "", text.upper().replace(" ", "T")))
    except ValueError:
        return False
    return True


def _date(text: str) -> bool:
    try:
        return len(text) == 10 and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _byte(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _uri(text: str) -> bool:
    """As Go's ParseRequestURI: an absolute path, or something with a scheme."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    if not text or " " in text:
        return False
    return text.startswith("/") or bool(parts.scheme and (parts.netloc or parts.path))


_HEX = "[0-9a-fA-F]"
_GO_DURATION = r"[+-]?(0|(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+"
_UNIT = (
    "nanos?(econds?)?|micros?(econds?)?|millis?(econds?)?|s(ecs?|econds?)?"
    "|m(ins?|inutes?)?|h(rs?|ours?)?|d(ays?)?|w(eeks?)?"
)
_WORD_DURATION = rf"\s*(\d+\s*({_UNIT}))+\s*"

FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches(_HEX + "{24}"),
    "uri": _uri,
    "email": _matches(r"[^@\s]+@[^@\s]+"),
    "hostname": _matches(r"(?!.{256})[a-zA-Z0-9]([a-zA-Z0-9-]{0,62})(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,62}))*\.?"),
    "ipv4": _address(4),
    "ipv6": _address(6),
    "cidr": _cidr,
    "mac": _matches(rf"({_HEX}{{2}}[:-]){{5,7}}{_HEX}{{2}}|({_HEX}{{4}}\.){{2,3}}{_HEX}{{4}}"),
    "uuid": _matches(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid3": _matches(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}"),
    "uuid4": _matches(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "uuid5": _matches(rf"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89abAB]{_HEX}{{3}}-?{_HEX}{{12}}"),
    "isbn10": _matches(r"\d{9}[\dxX]"),
    "isbn13": _matches(r"\d{13}"),
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matches(rf"#?({_HEX}{{3}}|{_HEX}{{6}})"),
    "rgbcolor": _matches(r"rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)"),
    "byte": _byte,
    "date": _date,
    "date-time": _date_time,
    "datetime": _date_time,
    "duration": lambda text: bool(re.fullmatch(_GO_DURATION, text) or re.fullmatch(_WORD_DURATION, text)),
    "k8s-short-name": lambda text: not names.dns_label_errors(text),
    "k8s-long-name": lambda text: not names.dns_subdomain_errors(text),
}
