"""Bytes that go straight into a connection, and a client that does not read them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.endpoints import pipe
from apiserver.endpoints.pipe import Pipe


class Connection:
    """What of uvicorn's protocol a pipe touches; it takes bytes while it is writable."""

    def __init__(self) -> None:
        self.flow = self.transport = self.cycle = self
        self.chunked_encoding, self.aborted = True, False
        self.writable = asyncio.Event()
        self.writable.set()
        self.sent: list[bytes] = []

    async def drain(self) -> None:
        await self.writable.wait()

    def offer(self, data: bytes) -> bool:
        if self.writable.is_set():
            self.sent.append(data)
        return self.writable.is_set()

    def abort(self) -> None:
        self.aborted = True


async def opened(connection: Connection) -> Pipe:
    async def send(message: Any) -> None:
        return None

    answer = Pipe({"state": {"protocol": connection}}, send)
    await answer.open()
    return answer


async def test_bytes_go_out_as_chunks() -> None:
    connection = Connection()
    answer = await opened(connection)
    await answer.write(b"hello")
    assert answer.offer(b"framed")
    assert connection.sent == [b"5\r\nhello\r\n", b"framed"]
    connection.writable.clear()
    assert not answer.offer(b"never")
    waiting = asyncio.ensure_future(answer.write(b"x" * 16))
    await asyncio.sleep(0)
    connection.writable.set()
    await waiting
    assert connection.sent[2:] == [b"10\r\n" + b"x" * 16 + b"\r\n"]


async def test_a_client_that_has_stopped_reading_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipe, "SLOWEST", 0.01)
    connection = Connection()
    answer = await opened(connection)
    connection.writable.clear()
    async with asyncio.timeout(60):
        await answer.write(b"never")
    assert connection.aborted
    assert connection.sent == []
