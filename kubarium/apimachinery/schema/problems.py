"""What a check of a value finds: problems whose places are found on the way out of the value.

Source of the texts: `k8s.io/kube-openapi/pkg/validation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.field_path import FieldError, FieldPath, below

Make = Callable[[FieldPath, str], FieldError]


class EntryKey(str):
    """The key of an entry of a map, as a step of a path: texts put a dot before it even at the beginning."""

    __slots__ = ()


class Problem:
    """An error whose place is still being found: each level on the way out adds its step.

    `make` is given the field path and the place as texts name it.
    """

    __slots__ = ("make", "steps")

    def __init__(self, make: Make | _Plain) -> None:
        self.make = make
        self.steps: list[str | int] = []

    def at(self, path: FieldPath) -> FieldError:
        """The error at its place below a path."""
        text = ""
        for step in reversed(self.steps):
            if isinstance(step, int):
                text = f"{text}[{step}]"
            elif text or isinstance(step, EntryKey):
                text = f"{text}.{step}"
            else:
                text = step
        if isinstance(self.make, _Plain):
            return self.make.at(path, text)
        return self.make(below(path, FieldPath(text.removeprefix("."))), text)


Check = Callable[[Any], list[Problem]]
NONE: list[Problem] = []
"""What most checks return; never changed."""


def problem_at(step: str, make: Make) -> Problem:
    """A problem one step below."""
    problem = Problem(make)
    problem.steps.append(step)
    return problem


def descend(problems: list[Problem], step: str | int) -> None:
    """The problems were found below this step."""
    for problem in problems:
        problem.steps.append(step)


def plain(text: str) -> Problem:
    """A problem that is told of the root, wherever it is; `%s` in the text stands for where it is."""
    return Problem(_Plain(text))


class _Plain:
    """Makes errors at the root of what is checked."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def at(self, root: FieldPath, place: str) -> FieldError:
        """The error."""
        return FieldError("FieldValueInvalid", root, f'Invalid value: "": {self.text.replace("%s", place)}')
