"""How the bytes of a long answer go out: straight into the connection, where it is ours.

A watch sends many small pieces to many clients. Each piece that goes through `send` passes all filters and the
server's own bookkeeping; a chunk of HTTP/1.1 needs neither. Semi-private parts of uvicorn are touched here: its
version is pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from apiserver.endpoints.server import Scope, Send

SLOWEST = 30.0  # seconds for which a client may take nothing at all
_JSON = (b"content-type", b"application/json")


class Pipe:
    """One answer without a known length; waits while the client is slow, and hangs up when it has stopped reading."""

    __slots__ = ("_flow", "_protocol", "_send", "_transport", "offer")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._protocol: Any = (scope.get("state") or {}).get("protocol")
        self._flow: Any = None  # of the connection, if we may write past the server
        self._transport: Any = None
        self.offer: Callable[[bytes], bool] = _refuse
        """Send what `chunk` has made, if that takes no waiting: the transport's own, for nothing stands between."""

    async def open(self) -> None:
        """Send the head."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [_JSON]})
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        cycle = getattr(self._protocol, "cycle", None)
        if getattr(cycle, "chunked_encoding", False):
            self._flow, self._transport = self._protocol.flow, self._protocol.transport
            self.offer = self._transport.offer

    async def write(self, body: bytes) -> None:
        """Send some bytes."""
        if self._flow is None:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            return
        framed = chunk(body)
        if self.offer(framed):
            return
        try:
            async with asyncio.timeout(SLOWEST):
                await self._flow.drain()
        except TimeoutError:
            self._transport.abort()
            return
        self.offer(framed)

    async def close(self, body: bytes = b"") -> None:
        """Send the last bytes and the end."""
        await self._send({"type": "http.response.body", "body": body})


def _refuse(framed: bytes) -> bool:
    return False


def chunk(body: bytes) -> bytes:
    """Some bytes of an answer without a known length, as HTTP/1.1 sends them."""
    return b"%x\r\n%b\r\n" % (len(body), body)
