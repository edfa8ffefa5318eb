"""Times as text: RFC 3339 in UTC, whole seconds (`Time`) or microseconds (`MicroTime`)."""

from __future__ import annotations

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(moment: datetime) -> str:
    """`2026-01-01T00:00:00.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
