"""Log files of containers: `2026-01-01T00:00:00.000000000Z stdout F text`, one file per run, perhaps rotated.

A Docker Engine writes the same as JSON: `{"log":"text\\n","stream":"stdout","time":"2026-01-01T00:00:00.000000000Z"}`.

Reads forwards from a place found by looking backwards, so that the end of a large file costs little.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kubarium.component_base.clock import Clock

CHUNK = 64 * 1024
POLL = 0.1  # seconds between looks at a file that is followed
ASK_EVERY = 10  # looks between two questions whether the container still runs


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is asked for."""

    follow: bool = False
    tail: int | None = None
    limit: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    streams: tuple[bytes, ...] = (b"stdout", b"stderr")


async def read(
    path: Path, options: LogOptions, clock: Clock, is_running: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Yield parts of the answer; with `follow` until the container has ended and all is read."""
    sent = 0
    async for part in _lines(path, options, clock, is_running):
        if options.limit is not None and sent + len(part) > options.limit:
            yield part[: options.limit - sent]
            return
        sent += len(part)
        yield part


async def _lines(
    path: Path, options: LogOptions, clock: Clock, is_running: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    while not path.exists():
        if not options.follow or not await is_running():
            return
        await clock.sleep(POLL)
    file = path.open("rb")
    try:
        file.seek(_tail_position(path, options.tail) if options.tail is not None else 0)
        rest = b""
        running, quiet = True, 0
        while True:
            data = file.read(CHUNK)
            if data:
                quiet = 0
                *complete, rest = (rest + data).split(b"\n")
                out = b"".join(_shown(line, options) for line in complete)
                if out:
                    yield out
                await asyncio.sleep(0)
                continue
            if not options.follow:
                return
            if _was_rotated(file.fileno(), path):
                file.close()
                file, rest = path.open("rb"), b""
                continue
            if not running:
                return
            quiet += 1
            if quiet % ASK_EVERY == 1:
                running = await is_running()  # if not, once more to the end of the file
            await clock.sleep(POLL if running else 0)
    finally:
        file.close()


def _was_rotated(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino != path.stat().st_ino
    except FileNotFoundError:
        return False


def _shown(line: bytes, options: LogOptions) -> bytes:
    """One line as it is asked for; nothing if it is too old or of another stream."""
    parts = parts_of(line)
    if parts is None or parts[1] not in options.streams:
        return b""
    moment, _, tag, text = parts
    if options.since is not None and _parse(moment) < options.since:
        return b""
    end = b"" if tag.startswith(b"P") else b"\n"
    return moment + b" " + text + end if options.timestamps else text + end


def parts_of(line: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    """Moment, stream, tag (`F`, or `P` if the line goes on) and text; None if this is no line of a log."""
    if line.startswith(b"{"):
        try:
            found = json.loads(line)
            text, stream, moment = found["log"], found["stream"], found["time"]
        except (ValueError, KeyError, TypeError):
            return None
        tag = b"F" if text.endswith("\n") else b"P"
        return moment.encode(), stream.encode(), tag, text.removesuffix("\n").encode()
    parts = line.split(b" ", 3)
    return (parts[0], parts[1], parts[2], parts[3]) if len(parts) == 4 else None


def _parse(moment: bytes) -> datetime:
    head, _, tail = moment.decode().partition(".")
    digits = (
        "".join(character for character in tail if character.isdigit())[:6].ljust(6, "0")
        if tail
        else "000000"
    )
    return datetime.fromisoformat(f"{head.rstrip('Z')}.{digits}+00:00")


def _tail_position(path: Path, lines: int) -> int:
    """Where the last `lines` lines begin. Parts of one line count as one."""
    size = path.stat().st_size
    if lines == 0:
        return size
    with path.open("rb") as file:
        position, buffer = size, b""
        while position > 0:
            step = min(CHUNK, position)
            position -= step
            file.seek(position)
            buffer = file.read(step) + buffer
            starts = _line_starts(buffer, complete=position == 0)
            if len(starts) >= lines:
                return position + starts[-lines]
    return 0


def _line_starts(buffer: bytes, complete: bool) -> list[int]:
    """Offsets at which whole lines of output begin in the buffer."""
    offsets, offset = [], 0
    previous_is_part = False
    for index, line in enumerate(buffer.split(b"\n")[:-1]):
        if (index > 0 or complete) and not previous_is_part:
            offsets.append(offset)
        parts = parts_of(line)
        previous_is_part = parts is not None and parts[2].startswith(b"P")
        offset += len(line) + 1
    return offsets
