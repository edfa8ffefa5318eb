"""How far things are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Who is told how far things are; this one tells nobody."""

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Something begins; it ends with the block."""
        yield
