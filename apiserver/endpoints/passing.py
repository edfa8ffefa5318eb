"""A request made again elsewhere, answer and all."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable

import httpx

from apiserver.endpoints.server import Receive, Scope, Send

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


async def whole(receive: Receive) -> bytes:
    """The whole body of a request."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = bool(message.get("more_body"))
    return b"".join(parts)


async def repeat(
    client: httpx.AsyncClient,
    base: str,
    method: str,
    target: str,
    headers: Iterable[tuple[bytes, bytes]],
    content: bytes,
    send: Send,
    prefix: bytes = b"",
    server_name: str = "",
) -> None:
    """Make the request there and send what comes back.

    With `prefix`, links in pages are made to lead through it. `server_name` is whose certificate is expected.
    """
    passed = [(name, value) for name, value in headers if name not in HOP_BY_HOP]
    url = httpx.URL(base).copy_with(raw_path=target.encode("latin-1"))
    extensions = {"sni_hostname": server_name} if server_name else {}
    request = client.build_request(
        method, url, headers=passed, content=content or None, extensions=extensions
    )
    answer = await client.send(request, stream=True)
    try:
        shown = [
            (name.lower(), value) for name, value in answer.headers.raw if name.lower() not in HOP_BY_HOP
        ]
        body: AsyncIterator[bytes] = answer.aiter_raw()
        if prefix and answer.headers.get("content-type", "").startswith("text/html"):
            page = _LINK.sub(rb"\1" + prefix.replace(b"\\", b"\\\\") + rb"\2", await answer.aread())
            shown = [(name, value) for name, value in shown if name != b"content-encoding"]
            shown.append((b"content-length", b"%d" % len(page)))
            body = _once(page)
        elif "content-length" in answer.headers:
            shown.append((b"content-length", answer.headers["content-length"].encode()))
        if prefix and answer.headers.get("location", "").startswith("/"):
            location = prefix + answer.headers["location"].encode()
            shown = [(name, location if name == b"location" else value) for name, value in shown]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": shown})
        async for part in body:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        await answer.aclose()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
