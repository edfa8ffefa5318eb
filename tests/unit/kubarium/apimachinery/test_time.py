"""Times as text, the earliest ones included."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from kubarium.apimachinery.time import format_micro_time, format_time, parse_time


@pytest.mark.parametrize(
    ("moment", "seconds", "micros"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000006Z"),
        (datetime(1, 1, 1, 0, 0, 2, 0, UTC), "0001-01-01T00:00:02Z", "0001-01-01T00:00:02.000000Z"),
        (
            datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-01T23:00:00Z",
            "2026-01-01T23:00:00.000000Z",
        ),
    ],
)
def test_years_have_four_digits(moment: datetime, seconds: str, micros: str) -> None:
    assert (format_time(moment), format_micro_time(moment)) == (seconds, micros)
    assert parse_time(micros) == moment
