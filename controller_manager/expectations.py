"""I have asked for three: wait until the cache shows them.

A controller that acts again before its cache has seen its own writes would create pods twice. It therefore
writes down what it expects, its informer's handlers strike off what arrives, and `met` says whether the
cache can be trusted. Expectations are a delay, never a lock: after five minutes they are dropped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import ObjectKey
from kubarium.component_base.clock import Clock

TIMEOUT = 300.0  # seconds


@dataclass
class _Expected:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)  # uids


class Expectations:
    """By the key of the owner: how many creations and which deletions its cache has yet to show."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._expected: dict[ObjectKey, _Expected] = {}

    def expect(self, key: ObjectKey, *, creations: int = 0, deletions: Iterable[str] = ()) -> None:
        """Write down what is about to be asked for, before asking."""
        self._expected[key] = _Expected(self._clock.monotonic(), creations, set(deletions))

    def creation_observed(self, key: ObjectKey) -> None:
        """One creation has shown up, or will never happen."""
        expected = self._expected.get(key)
        if expected is not None and expected.creations > 0:
            expected.creations -= 1

    def deletion_observed(self, key: ObjectKey, uid: str) -> None:
        """One deletion has shown up, or will never happen."""
        expected = self._expected.get(key)
        if expected is not None:
            expected.deletions.discard(uid)

    @contextlib.contextmanager
    def deleting(self, key: ObjectKey, uid: str) -> Iterator[None]:
        """Around the request: one that fails is not waited for, and what is gone already needs none."""
        try:
            yield
        except errors.NotFound:
            self.deletion_observed(key, uid)
        except BaseException:
            self.deletion_observed(key, uid)
            raise

    def met(self, key: ObjectKey) -> bool:
        """May the cache be trusted for this owner?"""
        expected = self._expected.get(key)
        if expected is None or (expected.creations <= 0 and not expected.deletions):
            return True
        return self._clock.monotonic() - expected.since > TIMEOUT

    def forget(self, key: ObjectKey) -> None:
        """The owner is gone."""
        self._expected.pop(key, None)
