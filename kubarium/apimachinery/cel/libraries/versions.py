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
_PRE = r"(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_PRE_RELEASE = re.compile(rf"{_PRE}(?:\.{_PRE})*")
_IDENTIFIER = re.compile(r"[0-9a-zA-Z-]+")
_SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    rf"(?:-({_PRE_RELEASE.pattern}))?"
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


def _problem(text: str) -> str:
    """Why a text is no version, in the words of the library that upstream uses."""
    if not text:
        return "Version string empty"
    numbers = text.split(".", 2)
    if len(numbers) < 3:
        return "No Major.Minor.Patch elements found"
    core, _, build = numbers[2].partition("+")
    numbers[2], mark, pre = core.partition("-")
    for name, number in zip(("major", "minor", "patch"), numbers, strict=True):
        if not re.fullmatch(r"[0-9]*", number):
            return f'Invalid character(s) found in {name} number "{number}"'
        if len(number) > 1 and number[0] == "0":
            return f'{name.title()} number must not contain leading zeroes "{number}"'
        if not number:
            return 'strconv.ParseUint: parsing "": invalid syntax'
    return _pre_release_problem(pre) if mark and not _PRE_RELEASE.fullmatch(pre) else _build_problem(build)


def _pre_release_problem(pre: str) -> str:
    for part in pre.split("."):
        if not part:
            return "Prerelease is empty"
        if not _IDENTIFIER.fullmatch(part):
            return f'Invalid character(s) found in prerelease "{part}"'
        if re.fullmatch(r"0[0-9]+", part):
            return f'Numeric PreRelease version must not contain leading zeroes "{part}"'
    return ""


def _build_problem(build: str) -> str:
    for part in build.split("."):
        if part and not _IDENTIFIER.fullmatch(part):
            return f'Invalid character(s) found in build meta data "{part}"'
    return "Build meta data is empty"


@function("isSemver | string -> bool", "isSemver | string, bool -> bool", cost=by_length)
def _is_semver(text: str, normalize: bool = False) -> bool:
    return parse_semver(text, normalize) is not None


@function("semver | string -> semver", "semver | string, bool -> semver", cost=by_length)
def _semver(text: str, normalize: bool = False) -> SemVer:
    version = parse_semver(text, normalize)
    if version is None:
        raise EvaluationError(_problem(_normalized(text) if normalize else text))
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
