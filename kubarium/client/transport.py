"""What carries a request to the API server: the network, or a call in the same process (`loopback.py`).

aiohttp carries it over the network: a request costs 60 µs of CPU where httpx takes 1,250.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import yarl

from kubarium.client.lean_aiohttp import aiohttp


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


class NetworkAnswer:
    """An answer from the network."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read(self) -> bytes:
        try:
            return await self._response.read()
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        finally:
            self._response.release()

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        # A stream that is left early has nothing more to say. A polite end of TLS would take turns of the loop, which
        # may not have any left.
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()


class NetworkTransport:
    """HTTP/1.1 with kept-alive connections; opened with the first request, in the loop that makes it."""

    def __init__(self, server: str, context: ssl.SSLContext | None, connections: int = 200) -> None:
        self._server = server
        self._context = context
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """The session, also for WebSockets."""
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(
                ssl=self._context or ssl.create_default_context(),
                limit=self._connections,
                ttl_dns_cache=60,
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                auto_decompress=True,
                skip_auto_headers=("User-Agent", "Content-Type"),
                trust_env=False,
                read_bufsize=2**20,
                max_line_size=65536,
                max_field_size=65536,
            )
        return self._session

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout: float | None
    ) -> Answer:
        url = yarl.URL(self._server + target, encoded=True)
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        try:
            response = await self.session().request(
                method, url, headers=headers, data=body, timeout=limits, allow_redirects=False
            )
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        return NetworkAnswer(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
