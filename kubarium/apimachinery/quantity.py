"""Amounts of resources: `500m`, `1Gi`, `1e3`. Exact numbers, never floats.

The text form is canonical: no fraction, the largest suffix that loses nothing, in the family of the suffix that was
given. More than nine decimal places are rounded away from zero, and no amount exceeds 2^63-1, as in upstream's
`resource.Quantity`.
`value` and `milli_value` are for hot paths: they remember the texts they have seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

PATTERN = r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
FORMAT_WRONG = f"quantities must match the regular expression '{PATTERN}'"
SUFFIX_WRONG = "unable to parse quantity's suffix"

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

NANO = 10**9
LARGEST = 2**63 - 1

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_TEXT = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_TEXT = {exponent: suffix for suffix, exponent in _BINARY.items()}
_SHAPE = re.compile(r"^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$")
_EXPONENT = re.compile(r"^[eE]([-+]?\d+)$")


class QuantityError(ValueError):
    """The text is no quantity; the message is upstream's."""


class Quantity(NamedTuple):
    """An exact amount, in billionths, and the family of suffixes in which it is written."""

    nano: int
    format: Format = "DecimalSI"

    def value(self) -> int:
        """The whole number, rounded away from zero as upstream does (up for positive amounts)."""
        return max(-LARGEST, min(_divide_up(self.nano, NANO), LARGEST))

    def milli_value(self) -> int:
        """Thousandths, rounded away from zero."""
        return _divide_up(self.nano, 10**6)

    def as_float(self) -> float:
        """Approximately the amount."""
        return self.nano / NANO

    def __str__(self) -> str:
        return _text(self)


def parse(text: str | int | float) -> Quantity:
    """The amount that a text, or a JSON number, stands for. Raises QuantityError."""
    return _parse(text if isinstance(text, str) else _number_text(text))


def value(text: str | int | float) -> int:
    """The whole amount, rounded up: bytes, devices, pods."""
    return _value(text if isinstance(text, str) else _number_text(text))


def milli_value(text: str | int | float) -> int:
    """The amount in thousandths, rounded up: millicores."""
    return _milli_value(text if isinstance(text, str) else _number_text(text))


def canonical(text: str | int | float) -> str:
    """The canonical text of an amount. Raises QuantityError."""
    return _canonical(text if isinstance(text, str) else _number_text(text))


def compare(left: str | int | float, right: str | int | float) -> int:
    """-1, 0 or 1."""
    a, b = parse(left).nano, parse(right).nano
    return (a > b) - (a < b)


def add(left: str | int | float, right: str | int | float) -> str:
    """The sum's canonical text, in the family of the left amount (of the right one, if the left is zero)."""
    a, b = parse(left), parse(right)
    return str(Quantity(a.nano + b.nano, b.format if a.nano == 0 else a.format))


def subtract(left: str | int | float, right: str | int | float) -> str:
    """The difference's canonical text."""
    a, b = parse(left), parse(right)
    return str(Quantity(a.nano - b.nano, b.format if a.nano == 0 else a.format))


def total(amounts: Iterable[str | int | float]) -> str:
    """The sum of several amounts; `0` for none."""
    result = Quantity(0)
    for amount in amounts:
        q = parse(amount)
        result = Quantity(result.nano + q.nano, q.format if result.nano == 0 else result.format)
    return str(result)


def of_value(number: int, format: Format = "DecimalSI") -> str:
    """The canonical text of a whole number."""
    return str(Quantity(number * NANO, format))


def of_milli(number: int, format: Format = "DecimalSI") -> str:
    """The canonical text of a number of thousandths."""
    return str(Quantity(number * 10**6, format))


def is_quantity(text: Any) -> bool:
    """Can this be read as an amount?"""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        return False
    try:
        parse(text)
    except QuantityError:
        return False
    return True


def _number_text(number: int | float) -> str:
    if isinstance(number, bool):
        raise QuantityError(FORMAT_WRONG)
    return repr(number)


@lru_cache(16384)
def _value(text: str) -> int:
    return _parse(text).value()


@lru_cache(16384)
def _milli_value(text: str) -> int:
    return _parse(text).milli_value()


@lru_cache(16384)
def _canonical(text: str) -> str:
    amount = _parse(text)
    return text if _is_kept(text) else _text(amount)


def _is_kept(text: str) -> bool:
    """Does upstream keep an amount as it was written? So it does with what looks canonical, such as `1.250`."""
    match = _SHAPE.fullmatch(text)
    assert match is not None
    fraction, suffix = match[3] or "", match[4]
    digits = (match[2].lstrip("0") or "0") + fraction
    binary = _BINARY.get(suffix)
    if binary is not None:
        return not fraction and len(digits) + int(binary * 0.3) < 15 and int(digits) % 8 != 0
    exponent = int(suffix[1:]) if suffix not in _DECIMAL else _DECIMAL[suffix]
    scale = exponent - len(fraction)
    is_short = len(digits) <= 18 and scale >= -9
    return is_short and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


@lru_cache(16384)
def _parse(text: str) -> Quantity:
    match = _SHAPE.match(text)
    if match is None or not text:
        raise QuantityError(FORMAT_WRONG)
    # Digits may be missing altogether: a suffix alone is nothing of it.
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4]
    numerator, denominator, family = _scale(suffix)
    digits = int(whole + fraction or "0") * numerator * NANO
    nano = _divide_up(digits, denominator * 10 ** len(fraction))
    if family == "BinarySI":
        nano = min(nano, LARGEST * NANO)
    if family == "BinarySI" and 0 < nano < NANO * 1024 and fraction:
        family = "DecimalSI"  # what is too small for Ki cannot be written in binary without loss
    return Quantity(-nano if sign == "-" else nano, family)


def _scale(suffix: str) -> tuple[int, int, Format]:
    """Numerator and denominator by which a suffix multiplies, and its family."""
    binary = _BINARY.get(suffix)
    if binary is not None:
        return 2**binary, 1, "BinarySI"
    exponent = _DECIMAL.get(suffix)
    family: Format = "DecimalSI"
    if exponent is None:
        match = _EXPONENT.match(suffix)
        if match is None:
            raise QuantityError(SUFFIX_WRONG)
        exponent, family = int(match[1]), "DecimalExponent"
        if abs(exponent) > 2**31:
            raise QuantityError(SUFFIX_WRONG)
        exponent = max(-60, min(exponent, 60))  # beyond, everything is capped or rounded alike
    return (10**exponent, 1, family) if exponent >= 0 else (1, 10**-exponent, family)


def _divide_up(amount: int, by: int) -> int:
    """Division rounded away from zero."""
    return -(-amount // by) if amount >= 0 else amount // by


def _text(q: Quantity) -> str:
    if q.nano == 0:
        return "0"
    if q.format == "BinarySI" and (text := _binary_text(q.nano)) is not None:
        return text
    return _decimal_text(q.nano, q.format == "DecimalExponent")


def _binary_text(nano: int) -> str | None:
    """In powers of 1024, or None for what must be written in decimal (below 1024, or not whole)."""
    whole, rest = divmod(abs(nano), NANO)
    if rest or whole < 1024:
        return None
    exponent = 0
    while exponent < 60 and whole % 1024 == 0:
        whole //= 1024
        exponent += 10
    return f"{'-' if nano < 0 else ''}{whole}{_BINARY_TEXT.get(exponent, '')}"


def _decimal_text(nano: int, as_exponent: bool) -> str:
    """In powers of 1000."""
    mantissa, exponent = abs(nano), -9
    while (as_exponent or exponent < 18) and mantissa % 1000 == 0:
        mantissa //= 1000
        exponent += 3
    sign = "-" if nano < 0 else ""
    if as_exponent:
        return f"{sign}{mantissa}e{exponent}" if exponent else f"{sign}{mantissa}"
    return f"{sign}{mantissa}{_DECIMAL_TEXT[exponent]}"
