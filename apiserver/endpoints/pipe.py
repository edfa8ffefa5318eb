"""How the bytes of a long answer go out: straight into the connection, where it is ours.

A watch sends many small pieces to many clients. Each piece that goes through `send` passes all filters and the
server's own bookkeeping; a chunk of HTTP/1.1 needs neither. Semi-private parts of uvicorn are touched here: its
version is pinned.
"""

from __future__ import annotations

import asyncio
from typing import Any

from apiserver.endpoints.server import Scope, Send

SLOWEST = 30.0  # seconds for which a client may take nothing at all
_JSON = (b"content-type", b"application/json")


class Pipe:
    """One answer without a known length; waits while the client is slow, and hangs up when it has stopped reading."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._protocol: Any = (scope.get("state") or {}).get("protocol")
        self._cycle: Any = None  # the request under way, if we may write past it
        self._flow: Any = None  # of the connection
        self._transport: Any = None

    async def open(self) -> None:
        """Send the head."""
        await self._send({"type": "http.response.start", "status": 200, "headers": [_JSON]})
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        cycle = getattr(self._protocol, "cycle", None)
        if getattr(cycle, "chunked_encoding", False):
            self._cycle, self._flow, self._transport = cycle, self._protocol.flow, self._protocol.transport

    async def write(self, body: bytes) -> None:
        """Send some bytes."""
        if self._cycle is None:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})
            return
        if self._flow.write_paused:
            try:
                async with asyncio.timeout(SLOWEST):
                    await self._flow.drain()
            except TimeoutError:
                self._transport.abort()
                return
        self.write_at_once(chunk(body))

    @property
    def ready(self) -> bool:
        """Is `write_at_once` allowed?"""
        return self._cycle is not None and not self._flow.write_paused

    def write_at_once(self, framed: bytes) -> None:
        """Send what `chunk` has made without waiting, if it is `ready`."""
        if not self._cycle.disconnected:
            self._transport.write(framed)

    async def close(self, body: bytes = b"") -> None:
        """Send the last bytes and the end."""
        await self._send({"type": "http.response.body", "body": body})


def chunk(body: bytes) -> bytes:
    """Some bytes of an answer without a known length, as HTTP/1.1 sends them."""
    return b"%x\r\n%b\r\n" % (len(body), body)
