"""A request made again elsewhere, answer and all."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from multidict import CIMultiDict
from yarl import URL

from kubarium.client.lean_aiohttp import aiohttp
from kubarium.component_base.departure import until_gone, while_listened
from kubarium.component_base.serving import Receive, Scope, Send

CONNECT_SECONDS = 30.0
HOP_BY_HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade", b"host", b"authorization", b"content-length",
})  # fmt: skip
"""Headers that are about one connection, and those that say who the client is."""

_LINK = re.compile(
    rb"""(\b(?:href|src|action|background|longdesc|cite|codebase|data|icon)\s*=\s*["'])(/[^"'>]*)""", re.I
)


def upgrade_of(scope: Scope) -> bytes:
    """The protocol to which a request wants to change, or nothing."""
    return next((value for name, value in scope["headers"] if name == b"upgrade"), b"")


async def pour(parts: AsyncIterable[bytes], receive: Receive, send: Send) -> None:
    """Send a body that comes bit by bit, perhaps without an end, as long as the client is there."""
    async with while_listened(until_gone(receive)):
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def repeat(
    session: aiohttp.ClientSession,
    base: str,
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]],
    content: bytes,
    receive: Receive,
    send: Send,
    prefix: bytes = b"",
    server_name: str | None = None,
) -> None:
    """Make the request there and send what comes back.

    With `prefix`, links in pages are made to lead through it. `server_name` is whose certificate is expected.
    """
    passed = CIMultiDict((_text(name), _text(value)) for name, value in headers if name not in HOP_BY_HOP)
    asked = session.request(
        method,
        URL(base + target, encoded=True),
        headers=passed,
        data=content or None,
        allow_redirects=False,
        skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
        server_hostname=server_name,
    )
    async with asked as answer:
        shown = [
            (name.lower(), value) for name, value in answer.raw_headers if name.lower() not in HOP_BY_HOP
        ]
        if prefix and answer.content_type == "text/html" and not answer.headers.get("Content-Encoding"):
            page = _LINK.sub(rb"\1" + prefix.replace(b"\\", b"\\\\") + rb"\2", await answer.content.read())
            shown.append((b"content-length", b"%d" % len(page)))
            body = _once(page)
        else:
            body = answer.content.iter_any()
            if "Content-Length" in answer.headers:
                shown.append((b"content-length", answer.headers["Content-Length"].encode()))
        if prefix and answer.headers.get("Location", "").startswith("/"):
            location = prefix + answer.headers["Location"].encode()
            shown = [(name, location if name == b"location" else value) for name, value in shown]
        await send({"type": "http.response.start", "status": answer.status, "headers": shown})
        await pour(body, receive, send)


def why_not_reached(error: BaseException) -> str:
    """Why a server could not be reached, in the words that upstream's clients know."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"dial tcp {error.host}:{error.port}: connect: {os.strerror(error.os_error.errno).lower()}"
    return str(error) or type(error).__name__


def open_session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    """A pool of connections to places that are trusted as the context says; answers come as they are."""
    connector = aiohttp.TCPConnector(ssl=tls, limit=0, force_close=False)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
