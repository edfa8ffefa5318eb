"""How long those who found no room are asked to stay away: longer, the more of them there are.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/,
staging/src/k8s.io/apiserver/pkg/util/flowcontrol/dropped_requests_tracker.go
"""

from __future__ import annotations

from collections import deque

LONGEST = 32  # seconds


class RetryAfter:
    """What one priority level suggests: doubled when three a second are refused, else a second less at a time."""

    def __init__(self) -> None:
        self.seconds = 1
        self._past: deque[tuple[int, int]] = deque()  # a second, and how many were refused in it
        self._second = self._count = 0  # the same of the newest second
        self._raised_at = 0

    def refused(self, now: float) -> int:
        """Count one more; the seconds after which to try again."""
        second = int(now)
        if second == self._second:
            self._count += 1
            return self.seconds
        self._past.append((self._second, self._count))
        while second - self._past[0][0] > min(2 * self.seconds, LONGEST):
            self._past.popleft()
            if not self._past:
                break
        self._second, self._count = second, 1
        self._adjust(second)
        return self.seconds

    def _adjust(self, second: int) -> None:
        recent = sum(count for past, count in self._past if second - past <= self.seconds)
        if second - self._raised_at >= self.seconds and recent >= 3 * self.seconds:
            self.seconds = min(2 * self.seconds, LONGEST)
            self._raised_at = second
        elif recent < self.seconds and self.seconds > 1:
            self.seconds -= 1
