from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.runtime.logs import LogOptions, parts_of, read

LINES = [
    b"2026-01-01T00:00:01.000000001Z stdout F one",
    b"2026-01-01T00:00:02.000000001Z stderr F two",
    b"2026-01-01T00:00:03.000000001Z stdout P thr",
    b"2026-01-01T00:00:03.000000002Z stdout F ee",
    b"2026-01-01T00:00:04.000000001Z stdout F four",
]


async def ended() -> bool:
    return False


async def text(tmp_path: Path, clock: FakeClock, **options: Any) -> bytes:
    file = tmp_path / "0.log"
    file.write_bytes(b"\n".join(LINES) + b"\n")
    return b"".join([part async for part in read(file, LogOptions(**options), clock, ended)])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"one\ntwo\nthree\nfour\n"),
        ({"tail": 2}, b"three\nfour\n"),
        ({"tail": 0}, b""),
        ({"tail": 99}, b"one\ntwo\nthree\nfour\n"),
        ({"limit": 5}, b"one\nt"),
        ({"since": datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)}, b"three\nfour\n"),
        ({"streams": (b"stderr",)}, b"two\n"),
        ({"tail": 1, "timestamps": True}, b"2026-01-01T00:00:04.000000001Z four\n"),
        ({"follow": True}, b"one\ntwo\nthree\nfour\n"),
    ],
)
async def test_options(tmp_path: Path, clock: FakeClock, options: dict[str, Any], expected: bytes) -> None:
    assert await text(tmp_path, clock, **options) == expected


async def test_a_missing_file_is_empty(tmp_path: Path, clock: FakeClock) -> None:
    assert [part async for part in read(tmp_path / "no", LogOptions(), clock, ended)] == []


def test_lines_of_a_docker_engine() -> None:
    line = b'{"log":"hello\\n","stream":"stderr","time":"2026-01-01T00:00:00.5Z"}'
    assert parts_of(line) == (b"2026-01-01T00:00:00.5Z", b"stderr", b"F", b"hello")
    assert parts_of(line.replace(b"\\n", b"")) == (b"2026-01-01T00:00:00.5Z", b"stderr", b"P", b"hello")
    assert parts_of(b'{"broken') is None
