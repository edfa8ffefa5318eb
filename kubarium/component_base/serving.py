"""A small HTTPS server for a component's own pages: health, metrics, debug.

The API server and the kubelet build their own; everything else serves a table of paths with this.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

import uvicorn

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Page = Callable[[Scope], Awaitable[tuple[int, str, bytes]]]
"""A page answers with a status, a content type and a body."""


@dataclass(frozen=True)
class TLS:
    """Key pair of a server, and the authority whose client certificates it accepts (if any)."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None


async def respond(send: Send, status: int, content_type: str, body: bytes) -> None:
    """Send one complete answer."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def pages(table: Mapping[str, Page]) -> App:
    """An ASGI application that serves exact paths; a table key that ends in `/` serves everything below it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        page = table.get(path) or table.get(path.rstrip("/"))
        if page is None:
            page = next(
                (table[prefix] for prefix in table if prefix.endswith("/") and path.startswith(prefix)), None
            )
        if page is None:
            await respond(send, 404, "text/plain; charset=utf-8", b"404 page not found\n")
            return
        await respond(send, *await page(scope))

    return app


async def serve(app: App, host: str, port: int, tls: TLS | None = None, **settings: Any) -> None:
    """Serve until cancelled; then finish what is under way and return."""
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "log_config": None,
        "access_log": False,
        "lifespan": "off",
        "http": "httptools",
        "ws": "wsproto",
        "server_header": False,
        "date_header": False,
        "timeout_graceful_shutdown": 5,
        "timeout_keep_alive": 120,
    }
    if tls is not None:
        options |= {"ssl_certfile": tls.cert_file, "ssl_keyfile": tls.key_file}
        if tls.client_ca_file is not None:
            options |= {"ssl_ca_certs": tls.client_ca_file, "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    server = EmbeddedServer(uvicorn.Config(app, **(options | settings)))
    await server.run_until_cancelled()


class EmbeddedServer(uvicorn.Server):
    """uvicorn inside a process that handles its own signals."""

    async def run_until_cancelled(self) -> None:
        """Serve; on cancellation drain and return."""
        serving = asyncio.ensure_future(self._serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self.should_exit = True
            await serving
            raise
