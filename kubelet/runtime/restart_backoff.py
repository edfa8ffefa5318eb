"""How long a container that keeps ending must wait: 10 s, doubling to 5 minutes, forgotten after 10 minutes of peace.

Kept in memory only: after a restart of the kubelet each container begins with a short wait again, as upstream.
"""

from __future__ import annotations

from dataclasses import dataclass

INITIAL = 10.0  # seconds
MAXIMUM = 300.0


@dataclass(slots=True)
class _Entry:
    delay: float
    since: float  # wall time in seconds at which the delay was last raised


class RestartBackoff:
    """One delay per key; a key names a pod's container in one definition."""

    def __init__(self, initial: float = INITIAL, maximum: float = MAXIMUM) -> None:
        self._initial = initial
        self._maximum = maximum
        self._entries: dict[str, _Entry] = {}

    def remaining(self, key: str, finished: float, now: float) -> float:
        """Seconds for which a container that ended at `finished` must still wait."""
        entry = self._entries.get(key)
        if entry is None or self._is_stale(entry, finished):
            return 0.0
        return max(0.0, finished + entry.delay - now)

    def delay(self, key: str) -> float:
        """The present delay."""
        entry = self._entries.get(key)
        return entry.delay if entry is not None else 0.0

    def next(self, key: str, finished: float, now: float) -> None:
        """It is started once more: the next wait is twice as long."""
        entry = self._entries.get(key)
        if entry is None or self._is_stale(entry, finished):
            self._entries[key] = _Entry(self._initial, now)
        else:
            entry.delay = min(entry.delay * 2, self._maximum)
            entry.since = now

    def forget(self, prefix: str) -> None:
        """Drop all keys of a pod."""
        for key in [key for key in self._entries if key.startswith(prefix)]:
            del self._entries[key]

    def _is_stale(self, entry: _Entry, moment: float) -> bool:
        return moment - entry.since > 2 * self._maximum
