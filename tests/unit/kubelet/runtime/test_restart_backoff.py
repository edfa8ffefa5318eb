from __future__ import annotations

from kubelet.runtime.restart_backoff import RestartBackoff


def test_waits_double_up_to_the_maximum() -> None:
    backoff, now, waits = RestartBackoff(), 0.0, []
    for _ in range(7):
        backoff.next("a", now, now)
        waits.append(backoff.remaining("a", now, now))
        now += waits[-1]
    assert waits == [10, 20, 40, 80, 160, 300, 300]


def test_the_first_restart_does_not_wait() -> None:
    assert RestartBackoff().remaining("a", 5.0, 5.0) == 0


def test_ten_quiet_minutes_are_forgiven() -> None:
    backoff = RestartBackoff()
    backoff.next("a", 0.0, 0.0)
    assert backoff.remaining("a", 601.0, 601.0) == 0
    backoff.next("a", 601.0, 601.0)
    assert backoff.delay("a") == 10


def test_forget_drops_one_pod() -> None:
    backoff = RestartBackoff()
    backoff.next("pod1/a", 0.0, 0.0)
    backoff.next("pod2/a", 0.0, 0.0)
    backoff.forget("pod1/")
    assert (backoff.delay("pod1/a"), backoff.delay("pod2/a")) == (0, 10)
