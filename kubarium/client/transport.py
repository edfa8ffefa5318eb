"""What carries a request to the API server: the network, or a call in the same process (`loopback.py`)."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from kubarium.client.connection import Connection
from kubarium.client.lean_aiohttp import aiohttp

if TYPE_CHECKING:
    import yarl

CONNECT_TIMEOUT = 10.0  # seconds
KEEP_IDLE = 15.0  # seconds that a connection is kept for the next request
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})  # a repeated write would meet what the first one did


class Answer(Protocol):
    """Status and headers have arrived; the body is read whole or chunk by chunk, then closed."""

    status: int
    headers: Mapping[str, str]  # case-insensitive, or names in lower case

    async def read(self) -> bytes:
        """The whole body."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        ...

    def close(self) -> None:
        """Let go of the answer, read or not."""
        ...


Query = Mapping[str, str | int | bool | list[str] | None]
"""Parameters of a request; empty ones are left out."""


class Requester(Protocol):
    """Turns requests into objects; `rest.Client` is the one."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = 60.0,
    ) -> Any:
        """Send a request; the decoded answer. Raises StatusError, ConnectionError, TimeoutError."""
        ...

    def stream(
        self, method: str, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[Answer]:
        """An answer whose body goes on and on."""
        ...


class Transport(Protocol):
    """Carries one request. `target` is a path with its query, already encoded."""

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout: float | None
    ) -> Answer:
        """Send and wait for the head of the answer. Raises ConnectionError or TimeoutError."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


class NetworkTransport:
    """HTTP/1.1 with kept-alive connections; opened with the first request, in the loop that makes it.

    Connections that are free wait in `_idle`, the one used last on top; whoever comes when all are busy waits in line.
    """

    def __init__(
        self, server: str, context: ssl.SSLContext | None, connections: int = 200, server_name: str = ""
    ) -> None:
        address = urlsplit(server)
        tls = address.scheme == "https"
        self._host, self._port = address.hostname or "", address.port or (443 if tls else 80)
        self._prefix = address.path.rstrip("/")
        self._netloc = address.netloc
        self._context = (context or ssl.create_default_context()) if tls else None
        self._server_name = (server_name or self._host) if tls else None
        self._limit = connections
        self._open: set[Connection] = set()
        self._opening = 0
        self._idle: list[Connection] = []
        self._line: deque[asyncio.Future[None]] = deque()
        self._sweep: asyncio.TimerHandle | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tunnels: dict[asyncio.Future[None], asyncio.Transport] = {}  # until they are lost

    async def web_socket(
        self, url: yarl.URL, protocol: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket on a connection of its own. Raises what aiohttp raises."""
        socket = await self._sessions().ws_connect(url, protocols=[protocol], headers=headers, max_msg_size=0)
        connection = socket._response.connection  # nothing public tells when it is lost
        carrier = None if connection is None else connection.protocol
        if carrier is not None and carrier.transport is not None and (lost := carrier.closed) is not None:
            self._tunnels[lost] = carrier.transport
            lost.add_done_callback(self._tunnels.pop)
        return socket

    def _sessions(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                ssl=self._context or ssl.create_default_context(), limit=self._limit, ttl_dns_cache=60
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
                skip_auto_headers=("User-Agent", "Content-Type"),
                trust_env=False,
                max_line_size=65536,
                max_field_size=65536,
            )
        return self._session

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout: float | None
    ) -> Answer:
        request = self._request(method, target, headers, body)
        while True:
            kept = bool(self._idle)
            connection = await self._connection()
            answer = connection.send(method, request, timeout)
            try:
                await answer.head()
            except ConnectionError:
                # The server hung up just when we thought of something to say: that is no answer.
                if kept and method in _REPEATABLE and not connection.answered:
                    continue
                raise
            return answer

    async def close(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._open:
            connection.abort()
        if self._open:
            await asyncio.wait([connection.closed for connection in self._open], timeout=1.0)
        if self._session is not None:
            await self._session.close()
            self._session = None
        # The end of TLS takes turns of the loop, which may have none left: a socket would stay open.
        for transport in self._tunnels.values():
            transport.abort()
        if self._tunnels:
            await asyncio.wait(list(self._tunnels), timeout=1.0)

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = [
            f"{method} {self._prefix}{target} HTTP/1.1",
            f"Host: {self._netloc}",
            "Accept-Encoding: gzip, deflate",
        ]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body or b'')}")
        head = "\r\n".join(lines)
        if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
            raise ValueError("a header of a request must not contain line breaks")
        return head.encode() + b"\r\n\r\n" + (body or b"")

    # ---- the pool

    async def _connection(self) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if connection.usable:
                    return connection
            if len(self._open) + self._opening < self._limit:
                return await self._connect()
            turn = asyncio.get_running_loop().create_future()
            self._line.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next()  # it was ours and we do not want it: pass it on
                raise

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        self._opening += 1
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._freed, self._lost),
                    self._host,
                    self._port,
                    ssl=self._context,
                    server_hostname=self._server_name,
                )
        except TimeoutError:
            raise ConnectionError(f"{self._netloc}: no connection within {CONNECT_TIMEOUT:.0f} s") from None
        except OSError as error:  # nobody listens, the name is not known, the certificate is not believed
            raise ConnectionError(f"{self._netloc}: {error}") from error
        finally:
            self._opening -= 1
            if self._opening + len(self._open) < self._limit:
                self._next()
        if not connection.usable:
            raise ConnectionError(f"{self._netloc}: the server closed the connection")
        self._open.add(connection)
        return connection

    def _freed(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        self._next()
        if self._sweep is None:
            self._sweep = loop.call_later(KEEP_IDLE, self._close_idle)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def _next(self) -> None:
        while self._line:
            turn = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _close_idle(self) -> None:
        loop = asyncio.get_running_loop()
        old = loop.time() - KEEP_IDLE
        for connection in [connection for connection in self._idle if connection.idle_since <= old]:
            self._idle.remove(connection)
            connection.close()
        self._sweep = loop.call_later(KEEP_IDLE, self._close_idle) if self._idle else None
