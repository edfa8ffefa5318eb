"""Sends a stream over a WebSocket: for browsers, which cannot read an endless answer otherwise.

    binary.k8s.io          parts as binary messages (also when no protocol is asked for)
    base64.binary.k8s.io   parts as base64 text

The first message is empty: it says that the stream is open. What the client sends is not looked at.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterable
from typing import Any

from apiserver.endpoints.server import Scope
from kubarium.apimachinery import errors
from kubarium.component_base.departure import while_listened
from kubarium.component_base.tunnel import relieve

BINARY, BASE64 = "binary.k8s.io", "base64.binary.k8s.io"
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
_TEXT_FRAME, _BINARY_FRAME, _CLOSE_FRAME = 1, 2, 8
_NORMAL_END = (1000).to_bytes(2, "big")


class _Client(asyncio.Protocol):
    """The connection, which was uvicorn's: we only write, and wait while the client is slow."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._writable = asyncio.Event()
        self._writable.set()
        self.transport: asyncio.Transport = protocol.transport
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def write(self, data: bytes) -> None:
        """Send, as fast as the client reads. Raises ConnectionError when it is gone."""
        await self._writable.wait()
        if self.transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self.transport.write(data)

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._writable.set()
        self._protocol.connection_lost(error)
        if not self.gone.done():
            self.gone.set_result(None)


async def send_stream(scope: Scope, parts: AsyncIterable[bytes]) -> None:
    """Agree to the upgrade, send every part as a message, and close."""
    uvicorn = (scope.get("state") or {}).get("protocol")
    if uvicorn is None:
        raise errors.InternalError.because("this connection cannot be upgraded")
    chosen, answer = _handshake(dict(scope["headers"]))
    client = _Client(uvicorn)
    relieve(uvicorn, client)
    try:
        async with while_listened(client.gone):
            await client.write(answer + frame(_message(b"", chosen), chosen == BASE64))
            async for part in parts:
                await client.write(frame(_message(part, chosen), chosen == BASE64))
            await client.write(_frame(_CLOSE_FRAME, _NORMAL_END))
    except ConnectionError:
        return
    finally:
        client.transport.close()


def _handshake(headers: dict[bytes, bytes]) -> tuple[str, bytes]:
    """The protocol that is spoken, and the head of the answer."""
    offered = [word.strip() for word in headers.get(b"sec-websocket-protocol", b"").decode().split(",")]
    offered = [word for word in offered if word]
    chosen = next((word for word in offered if word in (BINARY, BASE64)), "")
    key = headers.get(b"sec-websocket-key")
    if key is None or (offered and not chosen):
        raise errors.BadRequest("this is no handshake for a stream over WebSocket")
    digest = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    lines = [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Accept: " + digest,
    ]
    if chosen:
        lines.append(b"Sec-WebSocket-Protocol: " + chosen.encode())
    return chosen, b"\r\n".join([*lines, b"", b""])


def _message(part: bytes, protocol: str) -> bytes:
    return base64.b64encode(part) if protocol == BASE64 else part


def frame(content: bytes, is_text: bool = False) -> bytes:
    """One whole message of a server."""
    return _frame(_TEXT_FRAME if is_text else _BINARY_FRAME, content)


def _frame(kind: int, content: bytes) -> bytes:
    head, size = bytes([0x80 | kind]), len(content)
    if size < 126:
        return head + bytes([size]) + content
    if size < 1 << 16:
        return head + b"\x7e" + size.to_bytes(2, "big") + content
    return head + b"\x7f" + size.to_bytes(8, "big") + content
