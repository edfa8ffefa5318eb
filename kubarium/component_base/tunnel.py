"""Two connections become one: the bytes of each go to the other.

The far end decides: once it has answered `101 Switching Protocols`, neither side is looked into any more, so that
whatever the two ends agreed on (SPDY, WebSocket) goes through. A side that cannot keep up stops the other one from
reading. With any other answer the client gets that answer and the connection is closed: bytes that it sends before or
after must never reach the far end, where they would count as requests of ours (CVE-2018-1002105).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

DROPPED_HEADERS = (b"host", b"authorization", b"content-length")
HEAD_END = b"\r\n\r\n"
HEAD_LIMIT = 64 * 1024  # bytes


class _Side(asyncio.Protocol):
    """One end of the tunnel."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: _Side) -> None:
        """From now on everything goes to the other side."""
        self.other = other
        for data in self._early:
            other.write(data)
        self._early.clear()

    def write(self, data: bytes) -> None:
        """Send to this end."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)
        elif sum(map(len, self._early)) < HEAD_LIMIT:
            self._early.append(data)
        elif self.transport is not None:
            self.transport.close()  # so much before anyone agreed to anything

    def eof_received(self) -> bool:
        # TLS has no half-close; both ends are closed when one is done.
        return False

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        other = self.other.transport if self.other is not None else None
        if other is not None and not other.is_closing():
            other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Client(_Side):
    """The end that came to us through uvicorn, which must learn that the connection is gone."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol
        self.transport = protocol.transport

    def connection_lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        super().connection_lost(error)


class _Far(_Side):
    """The end that is asked: it joins the two when it agrees, and else its answer is all that goes back."""

    def __init__(self, near: _Client) -> None:
        super().__init__()
        self._near = near
        self._head = b""
        self._refused = False
        self._missing: int | None = None  # bytes of a refusal's body still to come

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)
        elif self._refused:
            self._pass_body(data)
        else:
            self._head += data
            head, end, rest = self._head.partition(HEAD_END)
            if end:
                self._decide(head, rest)
            elif len(self._head) > HEAD_LIMIT:
                self._end()

    def _decide(self, head: bytes, rest: bytes) -> None:
        if head.split(b" ", 2)[1:2] == [b"101"]:
            self._near.write(head + HEAD_END)
            self._near.join(self)
            self.join(self._near)
            self._near.write(rest)
            return
        self._refused = True
        lines = head.split(b"\r\n")
        kept = [line for line in lines[1:] if line.partition(b":")[0].strip().lower() != b"connection"]
        self._near.write(b"\r\n".join([lines[0], *kept, b"Connection: close"]))
        self._missing = _length_of(kept)
        self._near.write((b"" if _announces_length(kept) else b"\r\nContent-Length: 0") + HEAD_END)
        self._pass_body(rest)

    def _pass_body(self, data: bytes) -> None:
        self._near.write(data if self._missing is None else data[: self._missing])
        if self._missing is None:
            if data.endswith(b"0\r\n\r\n"):
                self._end()
            return
        self._missing = max(0, self._missing - len(data))
        if self._missing == 0:
            self._end()

    def _end(self) -> None:
        for side in (self, self._near):
            if side.transport is not None:
                side.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self._near.transport is not None:
            self._near.transport.close()


def _announces_length(headers: Iterable[bytes]) -> bool:
    """Do these headers say how the body ends?"""
    names = {line.partition(b":")[0].strip().lower() for line in headers}
    return bool(names & {b"content-length", b"transfer-encoding"})


def _length_of(headers: Iterable[bytes]) -> int | None:
    """Bytes of the body that these headers announce; nothing when it comes in chunks."""
    for line in headers:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
        if name.strip().lower() == b"transfer-encoding":
            return None
    return 0


class _Taken(asyncio.StreamReaderProtocol):
    """A connection that was uvicorn's, which must learn that it is gone."""

    def __init__(self, reader: asyncio.StreamReader, protocol: Any) -> None:
        super().__init__(reader, loop=asyncio.get_running_loop())
        self._uvicorn = protocol

    def connection_lost(self, error: Exception | None) -> None:
        self._uvicorn.connection_lost(error)
        super().connection_lost(error)


def streams_of(protocol: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection of a request, taken from uvicorn to be read and written by us from now on.

    `protocol` is uvicorn's for this connection (`serving.IdentifyingProtocol`).
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    taken = _Taken(reader, protocol)
    taken.connection_made(protocol.transport)
    relieve(protocol, taken)
    return reader, asyncio.StreamWriter(protocol.transport, taken, reader, loop)


def relieve(protocol: Any, by: asyncio.Protocol) -> None:
    """Give uvicorn's transport to somebody else: it must neither answer nor time out what it no longer owns."""
    protocol.cycle.disconnected = True
    protocol._unset_keepalive_if_required()
    protocol.shutdown = (
        protocol.transport.close
    )  # by a server that leaves: it would wait for an answer otherwise
    protocol.transport.set_protocol(by)
    protocol.transport.resume_reading()
    if protocol.transport.is_closing():  # the client did not wait so long, and nobody would say so again
        by.connection_lost(None)


async def open_tunnel(
    protocol: Any,
    host: str,
    port: int,
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]],
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> None:
    """Pass the request on to `host:port` and carry bytes until one side closes. Raises OSError if it cannot be reached.

    `protocol` is uvicorn's for this connection (`serving.IdentifyingProtocol`); it is relieved of its transport.
    """
    loop = asyncio.get_running_loop()
    near = _Client(protocol)
    _, far = await loop.create_connection(
        lambda: _Far(near), host, port, ssl=tls, server_hostname=server_name if tls else None
    )
    shown = f"[{host}]" if ":" in host else host
    head = [f"{method} {target} HTTP/1.1\r\nHost: {shown}:{port}\r\n".encode()]
    head += [name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in DROPPED_HEADERS]
    far.write(b"".join([*head, b"\r\n"]))
    relieve(protocol, near)
    try:
        await near.closed
    finally:
        for side in (near, far):
            if side.transport is not None:
                side.transport.close()
