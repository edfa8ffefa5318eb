"""What each rule looks like in the words of a backend, kept as long as the rule stays as it is.

One change among thousands of Services costs little more than finding out that the others are what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from kube_proxy.ruleset import Rule
from kube_proxy.services import PortName

T = TypeVar("T")


class Rendered(Generic[T]):
    """Renders only what is new."""

    def __init__(self, render: Callable[[Rule], T]) -> None:
        self._render = render
        self._kept: dict[PortName, tuple[Rule, T]] = {}

    def of(self, rules: Iterable[Rule]) -> list[T]:
        """The parts, in the order of the rules; what belongs to other rules is forgotten."""
        before, self._kept = self._kept, {}
        for rule in rules:
            known = before.get(rule.name)
            same = known is not None and known[0] == rule
            self._kept[rule.name] = known if known is not None and same else (rule, self._render(rule))
        return [part for _, part in self._kept.values()]
