"""Growing numpy columns: one place per node, all of one length.

Places are reused when nodes go and new ones are added an eighth at a time, so the arrays may be a little longer than
there are nodes. Who keeps `column.values` over a change of the node set keeps an array that is out of date.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int32]


class Column:
    """One array that grows with its table."""

    __slots__ = ("__weakref__", "empty", "values")

    def __init__(self, length: int, dtype: Any, empty: Any) -> None:
        self.empty = empty
        self.values: npt.NDArray[Any] = np.full(length, empty, dtype=dtype)

    def grow(self, length: int) -> None:
        """Make room for more places."""
        longer = np.full(length, self.empty, dtype=self.values.dtype)
        longer[: len(self.values)] = self.values
        self.values = longer


class LabelColumn:
    """The value of one label on every node, as a small number per distinct value; -1 where the label is absent."""

    __slots__ = ("column", "counts", "ids", "texts")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.ids: dict[str, int] = {}
        self.texts: list[str] = []
        self.counts: list[int] = []

    @property
    def values(self) -> Ids:
        """One id per node."""
        return self.column.values

    @property
    def distinct(self) -> int:
        """How many ids there are; some may be of values that no node has any more."""
        return len(self.texts)

    def id_of(self, text: str) -> int:
        """The id of a value, made on first sight."""
        known = self.ids.get(text)
        if known is None:
            known = self.ids[text] = len(self.texts)
            self.texts.append(text)
            self.counts.append(0)
        return known

    def put(self, index: int, text: str | None) -> None:
        """Set one node's value."""
        old = int(self.column.values[index])
        if old >= 0:
            self.counts[old] -= 1
        new = -1
        if text is not None:
            new = self.id_of(text)
            self.counts[new] += 1
        self.column.values[index] = new
