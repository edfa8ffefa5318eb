"""Semantic versions.

Source: https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-semver-library, https://semver.org
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from kubarium.apimachinery.cel.call_costs import by_length
from kubarium.apimachinery.cel.functions import EvaluationError, function, register_class


class SemVer(NamedTuple):
    """A version by the rules of https://semver.org."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    def order(self) -> tuple[Any, ...]:
        """A key that sorts versions: a pre-release stands before its release, numbers before words."""
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return (self.major, self.minor, self.patch, not self.pre, parts)


register_class("semver", SemVer)
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)


def _normalized(text: str) -> str:
    """`v1.2` -> `1.2.0`, leading zeros dropped: what the second argument of semver() asks for."""
    core, mark, rest = re.fullmatch(r"([^-+]*)([-+]?)(.*)", text.removeprefix("v"), re.DOTALL).groups()  # type: ignore[union-attr]
    numbers = [number.lstrip("0") or "0" for number in core.split(".") if number]
    return ".".join([*numbers, *["0"] * (3 - len(numbers))]) + mark + rest


def parse_semver(text: str, normalize: bool = False) -> SemVer | None:
    """The version that a text stands for, or None."""
    match = _SEMVER.fullmatch(_normalized(text) if normalize and text else text)
    if match is None:
        return None
    return SemVer(int(match[1]), int(match[2]), int(match[3]), tuple(match[4].split(".")) if match[4] else ())


@function("isSemver | string -> bool", "isSemver | string, bool -> bool", cost=by_length)
def _is_semver(text: str, normalize: bool = False) -> bool:
    return parse_semver(text, normalize) is not None


@function("semver | string -> semver", "semver | string, bool -> semver", cost=by_length)
def _semver(text: str, normalize: bool = False) -> SemVer:
    version = parse_semver(text, normalize)
    if version is None:
        raise EvaluationError(f'Invalid semantic version "{text}"')
    return version


@function("semver.major | -> int")
def _major(version: SemVer) -> int:
    return version.major


@function("semver.minor | -> int")
def _minor(version: SemVer) -> int:
    return version.minor


@function("semver.patch | -> int")
def _patch(version: SemVer) -> int:
    return version.patch


@function("semver.isLessThan | semver -> bool")
def _is_older(version: SemVer, other: SemVer) -> bool:
    return version.order() < other.order()


@function("semver.isGreaterThan | semver -> bool")
def _is_newer(version: SemVer, other: SemVer) -> bool:
    return version.order() > other.order()


@function("semver.compareTo | semver -> int")
def _compare_versions(version: SemVer, other: SemVer) -> int:
    return (version.order() > other.order()) - (version.order() < other.order())
