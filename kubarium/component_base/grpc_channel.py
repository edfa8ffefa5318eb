"""Calls of a gRPC server: one message there and one back, or many back.

One connection serves all calls; it is made when it is first needed, and anew when it was lost. No call is made twice.
Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from functools import partial
from urllib.parse import unquote

from kubarium.component_base.http2 import Connection, Exchange, literal, named

CODES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
CONNECT_SECONDS = 5.0
_POST, _HTTP, _HTTPS, _PATH, _AUTHORITY = b"\x83", b"\x86", b"\x87", 4, 1  # of HPACK's static table

Metadata = tuple[tuple[str, str], ...]


class CallFailed(Exception):
    """The server said no, or nothing: then nobody knows what became of the request."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details


class TooLate(CallFailed):
    """No answer came in time; a server that says so itself has more to say."""

    def __init__(self, seconds: float) -> None:
        super().__init__("DEADLINE_EXCEEDED", f"no answer within {seconds:g} s")


class Channel:
    """One server. `url` is `https://host:port`, `http://host:port`, `unix://path` or `unixs://path`."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        scheme, _, self.address = url.rpartition("://")
        self._unix = scheme.startswith("unix")
        self._tls = (tls or ssl.create_default_context()) if scheme in ("https", "unixs") else None
        if self._tls is not None:
            self._tls.set_alpn_protocols(["h2"])
        self._fields: dict[tuple[str, Metadata], bytes] = {}  # of requests, by method
        self._closed = False
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None

    def close(self) -> None:
        """Hang up for good."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.close()

    async def call(self, method: str, message: bytes, seconds: float, metadata: Metadata = ()) -> bytes:
        """Send a message, return the answer. Raises CallFailed."""
        connection = self._usable() or await self._connected()
        exchange = connection.begin(self._fields_for(method, metadata), _framed(message))
        late = asyncio.get_running_loop().call_later(seconds, connection.give_up, exchange)
        try:
            await exchange.end()
        finally:
            late.cancel()
            connection.release(exchange)
        if exchange.late:
            raise TooLate(seconds)
        _raise_failure(exchange)
        answer = b"".join(exchange.parts)
        if len(answer) < 5 or answer[0] or int.from_bytes(answer[1:5], "big") != len(answer) - 5:
            raise CallFailed("INTERNAL", "the answer is not one message")
        return answer[5:]

    async def stream(
        self, method: str, message: bytes, metadata: Metadata = (), *, stays_open: bool = True
    ) -> AsyncGenerator[bytes]:
        """Send a message, yield answers for as long as there are any. Raises CallFailed.

        The request `stays_open` where the method takes a stream of messages and ends with it.
        """
        connection = self._usable() or await self._connected()
        fields = self._fields_for(method, metadata)
        exchange = connection.begin(fields, _framed(message), in_parts=True, stays_open=stays_open)
        try:
            buffer = bytearray()
            while parts := await exchange.some():
                for part in parts:
                    buffer += part
                at = 0
                while (end := _end_of_message(buffer, at)) <= len(buffer):
                    yield bytes(buffer[at + 5 : end])
                    at = end
                del buffer[:at]
        finally:
            connection.release(exchange)
        _raise_failure(exchange)

    # ----------------------------------------------------------------------------------------------- connecting

    def _usable(self) -> Connection | None:
        connection = self._connection
        return connection if connection is not None and connection.usable else None

    async def _connected(self) -> Connection:
        """A new connection, the same for all who ask meanwhile: whoever gives up does not take it from the others."""
        if self._closed:
            raise CallFailed("UNAVAILABLE", "this channel has been closed")
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect(), name="gRPC connection")
            self._connecting.add_done_callback(self._came)
        connecting = self._connecting
        try:
            return await asyncio.shield(connecting)
        except OSError as error:
            raise CallFailed("UNAVAILABLE", f"cannot connect to {self.address}: {error}") from error
        except asyncio.CancelledError:
            if self._closed and connecting.cancelled():  # not who asks: the connection
                raise CallFailed("UNAVAILABLE", "this channel has been closed") from None
            raise

    def _came(self, connecting: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if connecting.cancelled() or connecting.exception() is not None:
            return
        self._connection = connecting.result()
        if self._closed:
            self._connection.close()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        transport: asyncio.BaseTransport
        async with asyncio.timeout(CONNECT_SECONDS):
            if self._unix:
                name = "localhost" if self._tls is not None else None
                transport, connection = await loop.create_unix_connection(
                    partial(Connection, may_vanish=False), self.address, ssl=self._tls, server_hostname=name
                )
            else:
                host, _, port = self.address.rpartition(":")
                transport, connection = await loop.create_connection(
                    Connection, host.strip("[]"), int(port), ssl=self._tls
                )
        if self._tls is not None:
            session = transport.get_extra_info("ssl_object")
            if session.selected_alpn_protocol() != "h2":
                connection.close()
                raise ConnectionError("the server speaks no HTTP/2")
        return connection

    def _fields_for(self, method: str, metadata: Metadata) -> bytes:
        found = self._fields.get((method, metadata))
        if found is None:
            path, authority = f"/{method}".encode(), b"localhost" if self._unix else self.address.encode()
            found = _POST + (_HTTP if self._tls is None else _HTTPS)
            found += named(_PATH, path) + named(_AUTHORITY, authority)
            found += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
            for name, value in metadata:
                found += literal(name.encode(), value.encode())
            self._fields[method, metadata] = found
        return found


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _end_of_message(buffer: bytearray, at: int) -> int:
    """Where the message that begins there ends; beyond the buffer if that has not come yet."""
    if len(buffer) - at < 5:
        return len(buffer) + 1
    return at + 5 + int.from_bytes(buffer[at + 1 : at + 5], "big")


def _raise_failure(exchange: Exchange) -> None:
    if exchange.failure:
        raise CallFailed("UNAVAILABLE", exchange.failure)
    fields = exchange.fields
    status = fields.get("grpc-status", "")
    if status == "0":
        return
    if not status.isdigit():
        raise CallFailed("UNAVAILABLE", f"no gRPC: HTTP status {fields.get(':status', 'unknown')}")
    code = CODES[int(status)] if int(status) < len(CODES) else "UNKNOWN"
    raise CallFailed(code, unquote(fields.get("grpc-message", "")))
