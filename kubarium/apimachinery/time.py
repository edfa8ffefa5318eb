"""Times as text: RFC 3339 in UTC, whole seconds (`Time`) or microseconds (`MicroTime`)."""

from __future__ import annotations

from datetime import UTC, datetime

_OFFSET = len("+00:00")


def format_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds")[:-_OFFSET] + "Z"


def format_micro_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00.000000Z`."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:-_OFFSET] + "Z"


def parse_time(text: str) -> datetime:
    """RFC 3339 text to a moment in UTC. Raises ValueError."""
    body = text.strip()
    if body.endswith(("Z", "z")):
        body = body[:-1] + "+00:00"
    head, dot, tail = body.partition(".")
    if dot:  # nanoseconds are cut to microseconds
        digits = next((i for i, c in enumerate(tail) if not c.isdigit()), len(tail))
        body = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    moment = datetime.fromisoformat(body)
    if moment.tzinfo is None:
        raise ValueError(f"parsing time {text!r}: no time zone")
    return moment.astimezone(UTC)


_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def human_duration(seconds: float) -> str:
    """`45s`, `3m20s`, `5h10m`, `12d`: about three digits, as `kubectl get` shows ages."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    for limit, unit, letter, small, small_letter in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if whole < limit:
            rest = whole % unit // small if small else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // _YEAR}y"
