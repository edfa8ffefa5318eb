"""What calls of functions may cost at most, and how large what they make may be.

Source: cel-go's `checker/cost.go` and `ext/lists.go`, and `staging/src/k8s.io/apiserver/pkg/cel/library/cost.go`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from kubarium.apimachinery.cel.nodes import Literal, Node

HIGHEST = 2**64 - 1
_TRAVERSAL, _REGEX = 0.1, 0.25  # a character of a text, of a pattern
_LIST, _STRUCT = 10, 40
_CHECK = 350_000  # asking an authorizer
_TEXTS = ("string", "bytes")
_LONGEST_FORMAT, _LONGEST_PATTERN = 64, 128  # of the names that formats judge
_LIBRARY_KINDS = (
    "ip", "cidr", "quantity", "semver", "format", "url", "authorizer", "path_check", "group_check", "resource_check",
    "decision",
)  # fmt: skip


class Sizes(Protocol):
    """What functions ask of the estimator that walks through the tree."""

    def declared_item_size(self, node: Node) -> int:
        """How large the items of a list are by the schema."""
        ...

    def holds_texts(self, node: Node) -> bool:
        """Is it a list of texts?"""
        ...


def capped(number: float) -> int:
    """No number is higher than 64 bits allow."""
    return HIGHEST if number >= HIGHEST else int(number)


def times(size: int, factor: float) -> int:
    """So many of something, rounded up."""
    return (
        capped(math.ceil(size * factor))
        if size < HIGHEST or factor >= 1
        else capped(math.ceil(HIGHEST * factor))
    )


Estimate = Callable[[Sizes, Sequence[Node], Sequence[str], Sequence[int]], tuple[int, int | None] | None]
"""From the arguments, their kinds and sizes: the cost of a call, and the size of what it makes if that is known."""


def _fixed(cost: int) -> Estimate:
    return lambda estimator, given, kinds, sizes: (cost, None)


def _equality(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return times(min(sizes), _TRAVERSAL), None


def _sameness(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    """Values of the libraries' types are as quick to compare as numbers."""
    if kinds[0] == kinds[1] and kinds[0] in _LIBRARY_KINDS:
        return (times(_LONGEST_FORMAT, _TRAVERSAL) if kinds[0] == "format" else 1), None
    return _equality(estimator, given, kinds, sizes)


def _order(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None] | None:
    if any(kind in _TEXTS for kind in kinds):
        return times(min(sizes), _TRAVERSAL), None
    if "dyn" in kinds:
        return max(1, times(min(sizes), _TRAVERSAL)), None
    return None


def _addition(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None] | None:
    total = capped(sum(sizes))
    if "list" in kinds:
        return 1, total
    if any(kind in _TEXTS for kind in kinds):
        return times(total, _TRAVERSAL), total
    return (max(1, times(total, _TRAVERSAL)), total) if kinds == ["dyn", "dyn"] else None


def _membership(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None] | None:
    return (sizes[1], None) if kinds[1] in ("list", "dyn") else None


def _affix(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return times(sizes[1], _TRAVERSAL), None


def _containment(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return capped(times(sizes[0], _TRAVERSAL) * times(sizes[1], _TRAVERSAL)), None


def _matching(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return capped(times(capped(sizes[0] + 1), _TRAVERSAL) * times(sizes[1], _REGEX)), None


def _finding(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return _matching(estimator, given, kinds, sizes)[0], sizes[0]


def _traversal(factor: float = 1.0, *, keeps_size: bool = True) -> Estimate:
    return lambda estimator, given, kinds, sizes: (
        times(sizes[0], factor * _TRAVERSAL), sizes[0] if keeps_size else None,
    )  # fmt: skip


def _replacing(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None] | None:
    if len(sizes) < 3:
        return None
    text, _, by = sizes[:3]
    shortest = len(given[1].value) if isinstance(given[1], Literal) else 0
    if shortest == 0:  # what stands around every character is replaced
        made = (text + 1) * by + text
    elif by <= shortest:
        made = text
    else:
        made = math.ceil(text / shortest) * by
    return times(text, 2 * _TRAVERSAL), capped(made)


def _splitting(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    most = sizes[0]
    if len(given) == 3 and isinstance(given[2], Literal) and isinstance(given[2].value, int):
        most = given[2].value if given[2].value >= 0 else sizes[0]
    return times(sizes[0], 2 * _TRAVERSAL), most


def _joining(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    made = sizes[0] * estimator.declared_item_size(given[0])
    if len(sizes) > 1 and sizes[0]:
        made += sizes[1] * (sizes[0] - 1)
    return times(capped(made), _TRAVERSAL), capped(made)


def _going_through(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    """Each item is looked at; texts in all their length."""
    if kinds[0] in _TEXTS:
        return times(sizes[0], _TRAVERSAL), None
    texts = estimator.holds_texts(given[0])
    each = capped(1 + times(estimator.declared_item_size(given[0]), _TRAVERSAL)) if texts else 1
    return capped(sizes[0] * each), None


def _parsing(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    """A text is read; what is made of it already has that at hand."""
    return (times(sizes[0], _TRAVERSAL) if kinds[0] in ("string", "dyn") else 1), None


def _changing(other: str) -> Estimate:
    """A text is made of bytes, or bytes of a text."""
    return lambda estimator, given, kinds, sizes: (
        (times(sizes[0], _TRAVERSAL), sizes[0]) if kinds[0] == other else None
    )


def _within(fixed: int) -> Estimate:
    """A network holds an address or a network; a text must be read first."""
    return lambda estimator, given, kinds, sizes: (
        capped(fixed + (times(sizes[1], _TRAVERSAL) if kinds[1] in ("string", "dyn") else 0)), None,
    )  # fmt: skip


def _by_format(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    return capped(times(times(sizes[1], _TRAVERSAL), _LONGEST_PATTERN * _REGEX)), None


def _selector(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    """A text is read, and a list of requirements is made of it."""
    requirements = times(times(sizes[1], 0.5), _STRUCT + _LIST - 0.0)
    return capped(times(sizes[1], _TRAVERSAL) + requirements + _LIST), None


def _number(node: Node, otherwise: int) -> int:
    is_number = isinstance(node, Literal) and type(node.value) is int and node.value >= 0
    return int(node.value) if is_number and isinstance(node, Literal) else otherwise


def _making(cost: float, size: int) -> tuple[int, int | None]:
    return capped(cost + _LIST + 1), size


def _slicing(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    size = (_number(given[2], sizes[0]) - _number(given[1], 0)) % 2**64
    return _making(size, size)


def _counting(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    size = _number(given[0], HIGHEST)
    return _making(size, size)


def _reversing(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None] | None:
    return _making(sizes[0], sizes[0]) if kinds[0] in ("list", "dyn") else None


def _flattening(
    estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[int, int | None]:
    depth = _number(given[1], HIGHEST) if len(given) > 1 else 1
    return _making(times(sizes[0], depth), sizes[0])


def _comparing(place: int) -> Estimate:
    """Each of a list is compared with each."""

    def estimate(
        estimator: Sizes, given: Sequence[Node], kinds: Sequence[str], sizes: Sequence[int]
    ) -> tuple[int, int | None]:
        pairs = capped(sizes[place] * sizes[place])
        return _making(times(pairs, 2.1 if estimator.holds_texts(given[place]) else 2.0), pairs)

    return estimate


def _product(factor: int) -> Estimate:
    return lambda estimator, given, kinds, sizes: (capped(sizes[0] * sizes[1] * factor + 1), None)


FUNCTIONS: dict[str, Estimate] = {
    "_==_": _sameness,
    "_!=_": _equality,
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), _order),
    "_+_": _addition,
    "@in": _membership,
    **dict.fromkeys(("startsWith", "endsWith"), _affix),
    "contains": _containment,
    "matches": _matching,
    **dict.fromkeys(("find", "findAll"), _finding),
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _traversal()),
    **dict.fromkeys(("url", "format", "strings.quote"), _traversal(keeps_size=False)),
    "replace": _replacing,
    "split": _splitting,
    "join": _joining,
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _going_through),
    **dict.fromkeys(("sets.contains", "sets.intersects"), _product(1)),
    "sets.equivalent": _product(2),
    "check": _fixed(_CHECK),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    **dict.fromkeys(
        ("cidr", "isCIDR", "ip", "isIP", "quantity", "isQuantity", "semver", "isSemver"), _parsing
    ),
    "string": _changing("bytes"),
    "bytes": _changing("string"),
    "ip.isCanonical": _traversal(2.0, keeps_size=False),
    "containsIP": _within(4),
    "containsCIDR": _within(7),
    "validate": _by_format,
    "slice": _slicing,
    "lists.range": _counting,
    "reverse": _reversing,
    "flatten": _flattening,
    **dict.fromkeys(("distinct", "sort"), _comparing(0)),
    "@sortByAssociatedKeys": _comparing(1),
}
"""By the names of functions; what is not here costs one unit."""
