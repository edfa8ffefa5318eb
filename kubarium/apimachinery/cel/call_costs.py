"""What calls cost while they run.

Source: cel-go's `interpreter/runtimecost.go`, and `staging/src/k8s.io/apiserver/pkg/cel/library/cost.go`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def size_of(value: Any) -> int:
    """Characters, bytes, items; everything else is as large as one of them."""
    return len(value) if isinstance(value, str | bytes | list | Mapping) else 1


def tenths(count: int) -> int:
    """A tenth of a unit for each of so many characters."""
    return -(-count // 10)


def by_length(text: Any, *_: Any) -> int:
    """The text is looked at once."""
    return tenths(size_of(text))


def by_two_passes(text: Any, *_: Any) -> int:
    """The text is looked at, and another one is made of it."""
    return tenths(2 * size_of(text))


def by_both(left: Any, right: Any) -> int:
    """Both are looked at, one after the other."""
    return tenths(size_of(left) + size_of(right))


def by_shorter(left: Any, right: Any) -> int:
    """A comparison ends where the shorter one does."""
    return tenths(min(size_of(left), size_of(right)))


def by_network(network: Any, other: Any) -> int:
    """Bytes are compared up to the length of the network; a text is read first."""
    return tenths(2 * network.size) + (tenths(len(other)) if isinstance(other, str) else 0)


def by_networks(network: Any, other: Any) -> int:
    """The same, and the network is masked."""
    return by_network(network, other) + tenths(network.size) + 1


def by_matching(text: str, pattern: str, *_: Any) -> int:
    """Every character, for every part of a pattern; a part has four characters."""
    return tenths(1 + len(text)) * -(-len(pattern) // 4)


def by_traversal(value: Any, *_: Any) -> int:
    """Everything that is in the value is looked at."""
    if isinstance(value, str | bytes):
        return len(value) // 10
    if isinstance(value, list):
        return sum(map(by_traversal, value))
    if isinstance(value, Mapping):
        return sum(by_traversal(key) + by_traversal(inner) for key, inner in value.items())
    return 1
