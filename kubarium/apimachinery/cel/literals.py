"""What is known of values that stand in the text of an expression."""

from __future__ import annotations

from collections.abc import Callable

from kubarium.apimachinery.cel import conversions, standard
from kubarium.apimachinery.cel.nodes import MakeList, MakeMap, Node

CONVERSIONS = frozenset(
    ("bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "uint", "type")
)
CHECKS: dict[str, Callable[[str], object]] = {
    "duration": conversions.parse_duration,
    "timestamp": conversions.timestamp_of,
    "matches": standard.compiled_pattern,
}
"""Functions whose last argument, where it is a literal, is looked at when the expression is compiled."""


def is_empty(node: Node) -> bool:
    """A list or a map of which it is not known what it would hold."""
    return (isinstance(node, MakeList) and not node.items) or (isinstance(node, MakeMap) and not node.entries)
