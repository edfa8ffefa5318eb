"""TLS below a protocol: real sockets, real greetings, clients of every manner."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from kubarium.component_base import tls_connection
from kubarium.component_base.certificates import Authority
from kubarium.component_base.tls_connection import TLSConnection

PATIENCE = 60.0  # seconds


@pytest.fixture(scope="module", params=[asyncio.SelectorEventLoop, uvloop.new_event_loop])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The loop of our programs, and Python's own: their plain transports differ."""
    return "asyncio", {"loop_factory": request.param}


class Echo(asyncio.Protocol):
    """Says what it hears, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()
        self.heard = b""
        self.all_heard = asyncio.Event()  # of "much" and "more"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if len(self.heard) == 8:
            self.all_heard.set()
        if data.startswith(b"leave"):
            self.transport.write(b"x" * 100_000)
            self.transport.writelines([b"good", b"", b"bye"])
            self.transport.close()
        elif data.endswith(b"much"):
            self.transport.write(b"y" * (16 << 20))
        else:
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.told.append("pause")
        self.paused.set()

    def resume_writing(self) -> None:
        self.told.append("resume")

    def eof_received(self) -> None:
        self.told.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set()


class Server:
    """An address to connect to, and the protocols of those who came."""

    def __init__(self, port: int, trust: ssl.SSLContext) -> None:
        self.port = port
        self.trust = trust
        self.came: list[Echo] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)

    def connect_plainly(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's, and that of clients who trust it."""
    folder: Path = tmp_path_factory.mktemp("tls")
    authority = Authority.create("tests")
    authority.server("server", ["127.0.0.1"]).write(folder / "crt", folder / "key")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "crt", folder / "key")
    return context, ssl.create_default_context(cadata=authority.cert_pem.decode())


@pytest.fixture
async def server(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Server]:
    context, trust = contexts
    found = Server(0, trust)
    sealed = ssl.MemoryBIO()

    def protocol() -> TLSConnection:
        found.came.append(Echo())
        return TLSConnection(context, found.came[-1], sealed)

    listening = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    found.port = listening.sockets[0].getsockname()[1]
    async with asyncio.timeout(PATIENCE):
        yield found
        for echo in found.came:
            if "made" in echo.told and not echo.lost.is_set():
                echo.transport.abort()
                await echo.lost.wait()
    listening.close()
    assert not sealed.pending, "whoever used the shared buffer left nothing in it"
    await listening.wait_closed()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_whatever_is_said_comes_back_whole(server: Server) -> None:
    reader, writer = await server.connect()
    said = bytes(range(256)) * (5 << 12)  # more than a record of TLS, and more than a socket takes
    writer.write(said)
    assert await reader.readexactly(len(said)) == said
    (echo,) = server.came
    assert echo.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert echo.transport.get_extra_info("sslcontext")
    assert echo.transport.get_extra_info("peername")[0] == "127.0.0.1"
    await hang_up(writer)
    await echo.lost.wait()
    assert [word for word in echo.told if word not in ("pause", "resume")] == ["made", "end", "lost"]


async def test_clients_at_one_time_hear_only_their_own(server: Server) -> None:
    async def talk(text: bytes) -> bytes:
        reader, writer = await server.connect()
        writer.write(text)
        heard = await reader.readexactly(len(text))
        await hang_up(writer)
        return heard

    texts = [bytes([at]) * 700_000 for at in range(8)]
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*map(talk, texts)) == texts


async def test_a_slow_client_pauses_the_protocol_and_misses_nothing(server: Server) -> None:
    reader, writer = await server.connect()
    writer.write(b"much")
    (echo,) = server.came
    await echo.paused.wait()
    writer.write(b"more")
    await echo.all_heard.wait()
    assert echo.transport.get_write_buffer_size() > tls_connection.HIGH_WATER
    assert await reader.readexactly((16 << 20) + 4) == b"y" * (16 << 20) + b"more"
    assert echo.told.count("resume") >= 1
    await hang_up(writer)


async def test_what_was_said_last_arrives_though_the_client_goes_on(server: Server) -> None:
    """And the client is told the end as TLS demands it: nobody has cut the connection."""

    def talk() -> bytes:
        with (
            server.connect_plainly() as plain,
            server.trust.wrap_socket(
                plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False
            ) as client,
        ):
            client.sendall(b"leave")
            client.sendall(b"something that nobody reads")
            answer = b""
            while piece := client.recv(65536):
                answer += piece
            return answer

    assert await asyncio.to_thread(talk) == b"x" * 100_000 + b"goodbye"
    (echo,) = server.came
    await echo.lost.wait()
    assert echo.transport.is_closing()
    echo.transport.write(b"too late")
    echo.transport.pause_reading()  # an application may ask for more when nobody is there any more
    echo.transport.resume_reading()
    echo.transport.close()
    assert echo.heard.startswith(b"leave")
    assert echo.told == ["made", "lost"]


async def test_a_client_that_stays_is_not_waited_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_connection, "GOODBYE_SECONDS", 0.01)
    plain = server.connect_plainly()

    def talk() -> ssl.SSLSocket:
        client = server.trust.wrap_socket(plain, server_hostname="127.0.0.1")
        client.sendall(b"leave")
        return client

    client = await asyncio.to_thread(talk)
    (echo,) = server.came
    await echo.lost.wait()
    client.close()


@pytest.mark.parametrize("fetches", [True, False])
async def test_who_fetches_the_rest_slowly_gets_it_and_who_does_not_is_left(
    server: Server, monkeypatch: pytest.MonkeyPatch, fetches: bool
) -> None:
    monkeypatch.setattr(tls_connection, "GOODBYE_SECONDS", 0.01)
    monkeypatch.setattr(tls_connection, "FLUSH_SECONDS", PATIENCE if fetches else 0.0)
    plain = server.connect_plainly()
    client = await asyncio.to_thread(server.trust.wrap_socket, plain, server_hostname="127.0.0.1")
    client.sendall(b"much")
    (echo,) = server.came
    await echo.paused.wait()
    echo.transport.close()

    def fetch() -> int:
        fetched = 0
        while piece := client.recv(1 << 20):
            fetched += len(piece)
        return fetched

    if fetches:
        assert await asyncio.to_thread(fetch) == 16 << 20
    await echo.lost.wait()
    client.close()


async def test_a_client_that_cuts_the_connection(server: Server) -> None:
    def talk() -> None:
        with server.connect_plainly() as plain:
            client = server.trust.wrap_socket(plain, server_hostname="127.0.0.1")
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            client.close()

    await asyncio.to_thread(talk)
    (echo,) = server.came
    await echo.lost.wait()
    assert echo.told == ["made", "end", "lost"]


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"Client sent an HTTP request to an HTTPS server.\n"),
        (b"\x16\x03\x01\x00\x05hello", b""),
        (b"nothing that anybody speaks", b""),
        (b"", b""),
    ],
)
async def test_who_speaks_no_tls_is_sent_away(server: Server, said: bytes, answered: bytes) -> None:
    def talk() -> bytes:
        with server.connect_plainly() as plain:
            plain.sendall(said)
            if not said:
                plain.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := plain.recv(65536):
                answer += piece
            return answer

    assert (await asyncio.to_thread(talk)).endswith(answered)
    assert [echo.told for echo in server.came] == [[]]


async def test_a_greeting_is_not_waited_for_for_ever(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_connection, "HANDSHAKE_SECONDS", 0.01)

    def talk() -> bytes:
        with server.connect_plainly() as plain:
            return plain.recv(1)

    assert await asyncio.to_thread(talk) == b""
    assert [echo.told for echo in server.came] == [[]]
