"""Requests over kept connections: reuse, repetition, streams, patience, and what a broken server does to them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import yarl

from kubarium.client.connection import PATIENCE
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.transport import Answer, NetworkTransport
from kubarium.component_base.certificates import Authority

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request; false ends the connection."""


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110  the other side of a socket tells us nothing
        await asyncio.sleep(0)


class Server:
    """Hands each request, head and body, to a function."""

    def __init__(self, serve: Serve) -> None:
        self.serve, self.connections, self.port = serve, 0, 0
        self.writers: list[asyncio.StreamWriter] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                if not await self.serve(head + body, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(serve: Serve, connections: int = 200) -> AsyncIterator[tuple[Server, NetworkTransport]]:
    server = Server(serve)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    transport = NetworkTransport(f"http://127.0.0.1:{server.port}/base", None, connections)
    try:
        yield server, transport
    finally:
        await transport.close()
        listening.close()


def answer(body: bytes, *more: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *more]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def get(transport: NetworkTransport, target: str = "/x", timeout: float | None = 60.0) -> Answer:
    return await transport.send("GET", target, {"Accept": "text/plain"}, None, timeout)


async def echo(request: bytes, writer: asyncio.StreamWriter) -> bool:
    writer.write(answer(request))
    return True


async def test_one_connection_carries_one_request_after_the_other() -> None:
    async with serving(echo) as (server, transport):
        first = await transport.send("POST", "/x?y=1", {"X-A": "b"}, b"body", 60.0)
        head = (await first.read()).decode()
        assert head.startswith("POST /base/x?y=1 HTTP/1.1\r\n")
        assert f"Host: 127.0.0.1:{server.port}\r\n" in head
        assert "X-A: b\r\n" in head
        assert head.endswith("Content-Length: 4\r\n\r\nbody")
        await (await get(transport)).read()
        assert server.connections == 1


async def test_no_header_smuggles_another_request() -> None:
    async with serving(echo) as (server, transport):
        with pytest.raises(ValueError, match="line breaks"):
            await transport.send("GET", "/x", {"A": "b\r\nC: d"}, None, 60.0)
        assert server.connections == 0


async def test_a_kept_connection_that_the_server_has_closed_is_replaced() -> None:
    async def once(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(b"ok"))
        return request.startswith(b"POST")

    async with serving(once) as (server, transport):
        for _ in range(3):
            assert await (await get(transport)).read() == b"ok"
        assert server.connections == 3


async def test_only_a_request_that_may_be_repeated_is_repeated() -> None:
    broken = True

    async def second_time_never(request: bytes, writer: asyncio.StreamWriter) -> bool:
        nonlocal broken
        if b"/again" in request and broken:
            broken = False
            return False
        writer.write(answer(b"ok"))
        return True

    async with serving(second_time_never) as (server, transport):
        await get(transport)
        assert await (await get(transport, "/again")).read() == b"ok"
        assert server.connections == 2
        broken = True
        with pytest.raises(ConnectionError):
            await transport.send("POST", "/again", {}, b"", 60.0)


async def test_a_stream_arrives_in_parts_and_is_unpacked() -> None:
    more = asyncio.Event()
    packed = gzip.compress(b"first ")

    async def stream(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n")
        for part in (packed[:12], packed[12:]):
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await more.wait()
        writer.write(b"0\r\n\r\n")
        return True

    async with serving(stream) as (_, transport):
        found = await get(transport, timeout=None)
        chunks = found.chunks()
        text = await anext(chunks)  # before the rest is sent
        more.set()
        assert text + b"".join([chunk async for chunk in chunks]) == b"first "


async def test_a_slow_reader_makes_the_server_wait() -> None:
    size = 40 * PATIENCE
    written = asyncio.Event()

    async def flood(request: bytes, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer(bytes(size)))
        await writer.drain()
        written.set()
        return True

    async with serving(flood) as (_, transport):
        found = await get(transport, timeout=None)
        chunks = found.chunks()
        total = len(await anext(chunks))
        await until(lambda: found._connection._paused)  # type: ignore[attr-defined]
        assert not written.is_set()
        async for chunk in chunks:
            total += len(chunk)
        assert total == size


async def test_who_has_no_time_left_hears_so_and_the_connection_is_not_used_again() -> None:
    async def silent(request: bytes, writer: asyncio.StreamWriter) -> bool:
        if b"/slow" not in request:
            writer.write(answer(b"ok"))
        return True

    async with serving(silent) as (server, transport):
        with pytest.raises(TimeoutError):
            await get(transport, "/slow", timeout=0.01)
        waiting = asyncio.create_task(get(transport, "/slow"))
        await until(lambda: server.connections == 2)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert await (await get(transport)).read() == b"ok"
        assert server.connections == 3


async def test_who_comes_when_all_connections_are_busy_waits_in_line() -> None:
    go = asyncio.Event()

    async def later(request: bytes, writer: asyncio.StreamWriter) -> bool:
        await go.wait()
        writer.write(answer(b"ok"))
        return True

    async with serving(later, connections=2) as (server, transport):
        asked = [asyncio.create_task(get(transport)) for _ in range(6)]
        await until(lambda: server.connections == 2)
        asked[4].cancel()
        go.set()
        await asyncio.wait(asked)
        assert [task.cancelled() for task in asked] == [False, False, False, False, True, False]
        assert server.connections == 2


async def test_bodies_end_by_length_by_the_connection_or_are_not_there() -> None:
    async def odd(request: bytes, writer: asyncio.StreamWriter) -> bool:
        if request.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        elif b"/short" in request:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        elif b"/nothing" in request:
            writer.write(b"HTTP/1.1 304 Not Modified\r\nETag: a\r\nWarning: b\r\nWarning: c\r\n\r\n")
            return True
        elif b"/noise" in request:
            writer.write(b"what?\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end")
        return False

    async with serving(odd) as (_, transport):
        assert await (await transport.send("HEAD", "/x", {}, None, 60.0)).read() == b""
        nothing = await get(transport, "/nothing")
        assert (nothing.status, nothing.headers["warning"], await nothing.read()) == (304, "b, c", b"")
        assert await (await get(transport)).read() == b"to the end"
        with pytest.raises(ConnectionError):
            await (await get(transport, "/short")).read()
        with pytest.raises(ConnectionError, match="not an answer in HTTP"):
            await get(transport, "/noise")


def contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server with this name, and of a client that believes it."""
    authority = Authority.create("ca")
    (folder / "ca.crt").write_bytes(authority.cert_pem)
    authority.server("kube-apiserver", [name]).write(folder / "s.crt", folder / "s.key")
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder / "s.crt", folder / "s.key")
    return server_side, ssl.create_default_context(cafile=str(folder / "ca.crt"))


async def test_a_server_may_have_another_name_than_its_address(tmp_path: Path) -> None:
    server_side, client_side = contexts(tmp_path, "kubernetes")
    listening = await asyncio.start_server(Server(echo).connected, "127.0.0.1", 0, ssl=server_side)
    address = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    named = NetworkTransport(address, client_side, server_name="kubernetes")
    strict = NetworkTransport(address, client_side)
    try:
        assert (await get(named)).status == 200
        with pytest.raises(ConnectionError, match="certificate"):
            await get(strict)
    finally:
        await named.close()
        await strict.close()
        listening.close()


async def test_a_web_socket_is_gone_when_its_client_is(tmp_path: Path) -> None:
    """The server answers the last frame, and never the end of TLS, for which a loop may not live long enough."""
    server_side, client_side = contexts(tmp_path, "localhost")

    async def agree(request: bytes, writer: asyncio.StreamWriter) -> bool:
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        writer.write(b"Sec-WebSocket-Protocol: p\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        writer.write(b"\x88\x02\x03\xe8")  # a frame: closed, 1000
        await writer.drain()
        cast("asyncio.Transport", writer.transport).pause_reading()
        await asyncio.get_running_loop().create_future()
        return False

    server = Server(agree)
    listening = await asyncio.start_server(server.connected, "127.0.0.1", 0, ssl=server_side)
    url = f"https://localhost:{listening.sockets[0].getsockname()[1]}"
    transport = NetworkTransport(url, client_side)
    try:
        socket = await transport.web_socket(yarl.URL(url), "p", {})
        descriptor = socket.get_extra_info("socket")
        assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        await socket.close()
        assert descriptor.fileno() != -1
        await transport.close()
        assert descriptor.fileno() == -1
    finally:
        for writer in server.writers:
            writer.transport.abort()
        listening.close()
