"""Who finds no room is asked to stay away for longer, the more there are of them."""

from __future__ import annotations

from apiserver.filters.retry_after import LONGEST, RetryAfter


def test_a_single_refusal_changes_nothing() -> None:
    retry_after = RetryAfter()
    assert [retry_after.refused(now) for now in (100.0, 100.5, 101.0, 110.0, 200.0)] == [1] * 5


def test_it_doubles_under_load_and_falls_a_second_at_a_time() -> None:
    retry_after, told = RetryAfter(), []
    for second in range(1000, 1100):
        told += [retry_after.refused(second + part / 40) for part in range(40)][:1]
    assert told[:8] == [1, 2, 2, 4, 4, 4, 4, 8]  # not before the last increase could show what it does
    assert max(told) == told[-1] == LONGEST
    assert [retry_after.refused(2000.0 + 50 * step) for step in range(3)] == [31, 30, 29]
