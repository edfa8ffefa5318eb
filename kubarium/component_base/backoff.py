"""Exponential delay with a cap, as a value."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """How long to wait before try number `n` (counted from 0)."""

    initial: float = 1.0  # seconds
    factor: float = 2.0
    maximum: float = 300.0  # seconds
    jitter: float = 0.0  # up to this share of the delay is added at random

    def delay(self, attempt: int) -> float:
        """Seconds to wait before this attempt."""
        grown = self.initial * self.factor ** min(attempt, 64)
        return min(grown, self.maximum) * (1.0 + self.jitter * random.random())
