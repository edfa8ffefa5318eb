"""Two connections become one: the bytes of each go to the other.

After the head of a request has been passed on, neither side is looked into any more, so that whatever the two ends
agreed on (SPDY, WebSocket) goes through. A side that cannot keep up stops the other one from reading.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, cast

DROPPED_HEADERS = (b"host", b"authorization", b"content-length")


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
        if self.other is None:
            self._early.append(data)
        else:
            self.other.write(data)

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
    _, far = await loop.create_connection(
        _Side, host, port, ssl=tls, server_hostname=server_name if tls else None
    )
    shown = f"[{host}]" if ":" in host else host
    head = [f"{method} {target} HTTP/1.1\r\nHost: {shown}:{port}\r\n".encode()]
    head += [name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in DROPPED_HEADERS]
    far.write(b"".join([*head, b"\r\n"]))
    near = _Client(protocol)
    # uvicorn must neither answer nor time out what it no longer owns.
    protocol.cycle.disconnected = True
    protocol._unset_keepalive_if_required()
    protocol.transport.set_protocol(near)
    protocol.transport.resume_reading()
    near.join(far)
    far.join(near)
    try:
        await near.closed
    finally:
        for side in (near, far):
            if side.transport is not None:
                side.transport.close()
