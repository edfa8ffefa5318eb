"""Connections that are taken from uvicorn: what becomes of them when one of the two leaves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from kubarium.component_base import serving
from kubarium.component_base.serving import Receive, Scope, Send
from kubarium.component_base.tunnel import open_tunnel, streams_of

PATIENCE = 60.0  # seconds
ASK = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"


@dataclass
class Served:
    """A server, its client, and what was made of the connection between them."""

    server: asyncio.Task[None]
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    taken: asyncio.Future[object]


@contextlib.asynccontextmanager
async def tunnel(
    take: Callable[[Any], Awaitable[object]], *, gone_before: bool = False
) -> AsyncIterator[Served]:
    """A request whose connection is handed to `take`: at once, or only when the client has gone."""
    loop = asyncio.get_running_loop()
    port: asyncio.Future[int] = loop.create_future()
    taken: asyncio.Future[object] = loop.create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while gone_before and (await receive())["type"] != "http.disconnect":
            pass
        taken.set_result(await take(scope["state"]["protocol"]))

    server = asyncio.ensure_future(
        serving.serve(app, "127.0.0.1", 0, None, port.set_result, http=serving.IdentifyingProtocol, ws="none")
    )
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", await port)
        writer.write(ASK)
        if gone_before:
            writer.close()
        try:
            yield Served(server, reader, writer, taken)
        finally:
            writer.close()
            await writer.wait_closed()
            server.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await server


async def hear_out(protocol: Any) -> bytes:
    """Greet the client, and listen until it has gone."""
    reader, writer = streams_of(protocol)
    writer.write(b"hello")
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_a_client_that_has_gone_before_is_at_its_end():
    async with tunnel(hear_out, gone_before=True) as served:
        assert await served.taken == b""


async def test_a_tunnel_to_a_client_that_has_gone_before_is_closed_at_the_other_end_too():
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def far(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_server(far, "127.0.0.1", 0) as listener:
        host, port = listener.sockets[0].getsockname()[:2]
        async with tunnel(
            lambda near: open_tunnel(near, host, port, "GET", "/", []), gone_before=True
        ) as served:
            await served.taken
            assert (await heard).startswith(b"GET / HTTP/1.1\r\n")


async def test_a_client_that_vanishes_without_a_word_is_noticed():
    """By the kernel: a machine that has lost its power cannot be had here."""

    async def is_probed(protocol: Any) -> int:
        _, writer = streams_of(protocol)
        connection = writer.get_extra_info("socket")
        writer.close()
        return int(connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    async with tunnel(is_probed) as served:
        assert await served.taken


async def test_a_server_that_leaves_ends_its_tunnels(caplog: pytest.LogCaptureFixture):
    async with tunnel(hear_out) as served:
        assert await served.reader.readexactly(5) == b"hello"
        served.server.cancel()
        assert await served.reader.read() == b""
        assert await served.taken == b""
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
