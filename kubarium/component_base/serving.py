"""A small HTTPS server for a component's own pages: health, metrics, debug.

The API server and the kubelet build their own; everything else serves a table of paths with this.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from kubarium.component_base import cipher_suites, keep_alive, renewal, server_names
from kubarium.component_base.tls_connection import TLSConnection

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Page = Callable[[Scope], Awaitable[tuple[int, str, bytes]]]
"""A page answers with a status, a content type and a body."""


TLS_VERSIONS = {
    "VersionTLS10": ssl.TLSVersion.TLSv1_2,  # nobody here speaks anything older
    "VersionTLS11": ssl.TLSVersion.TLSv1_2,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True)
class TLS:
    """Key pair of a server, and the authority whose client certificates it accepts (if any)."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None
    more_ca_files: tuple[str, ...] = ()  # of other clients, such as front proxies
    min_version: str = ""  # VersionTLS12 or VersionTLS13, as Kubernetes' flags name them
    cipher_suites: tuple[str, ...] = ()  # of TLS 1.2, as Go names them; none is no restriction
    by_name: tuple[str, ...] = ()  # more key pairs: `cert,key` or `cert,key:domain,*.domain`


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


async def serve(
    app: App,
    host: str,
    port: int,
    tls: TLS | None = None,
    started: Callable[[int], None] | None = None,
    **settings: Any,
) -> None:
    """Serve until cancelled; then finish what is under way and return. Raises OSError if the port is taken.

    `started` is told the port on which we listen, for port 0 lets the kernel choose.
    """
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
        "proxy_headers": False,  # who is at the other end is not for the client to say
        "timeout_graceful_shutdown": 5,
        # Upstream closes after 90 s, as its clients do. Over HTTP/1.1 a client could then speak just when we hang up.
        "timeout_keep_alive": 120,
    }
    if tls is not None:
        options |= {"ssl_certfile": tls.cert_file, "ssl_keyfile": tls.key_file}
        if tls.client_ca_file is not None:
            options |= {"ssl_ca_certs": tls.client_ca_file, "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    config = uvicorn.Config(app, **(options | settings))
    config.load()
    context = config.ssl
    if tls is not None and config.ssl is not None:
        _refine(config.ssl, tls)
        server_names.serve_by_name(config.ssl, tls.by_name, lambda context: _trusting(context, tls))
        _secure(config, config.ssl)
    # uvicorn would end the whole process where it cannot listen.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=config.backlog)
    keep_alive.probe(listener, idle=15, interval=15, probes=9)  # as Go's listeners
    if started is not None:
        started(listener.getsockname()[1])
    if tls is None or context is None:
        await EmbeddedServer(config).run_until_cancelled(listener)
        return
    following = asyncio.ensure_future(renewal.follow(context, tls.cert_file, tls.key_file))
    try:
        await EmbeddedServer(config).run_until_cancelled(listener)
    finally:
        following.cancel()


def _secure(config: uvicorn.Config, context: ssl.SSLContext) -> None:
    """Let our own layer of TLS stand below the protocol, instead of the loop's."""
    protocol: Any = config.http_protocol_class
    config.ssl = None
    sealed = ssl.MemoryBIO()
    config.http_protocol_class = cast(Any, lambda **given: TLSConnection(context, protocol(**given), sealed))


def _refine(context: ssl.SSLContext, tls: TLS) -> None:
    context.options |= ssl.OP_NO_RENEGOTIATION  # as Go; TLSConnection writes without asking
    for path in tls.more_ca_files:
        context.load_verify_locations(path)
    if tls.min_version:
        context.minimum_version = TLS_VERSIONS[tls.min_version]
    cipher_suites.restrict(context, tls.cipher_suites)


def _trusting(context: ssl.SSLContext, tls: TLS) -> None:
    """Let another context believe the same clients."""
    if tls.client_ca_file is not None:
        context.load_verify_locations(tls.client_ca_file)
        context.verify_mode = ssl.CERT_OPTIONAL
    _refine(context, tls)


MAX_HEAD = (1 << 20) + 4096
"""Bytes of a request line with its headers that Go's servers take."""
HEAD_SECONDS = 32.0
"""How long a request may take to say what it wants, the first one from when its connection is there.

Source: k8s.io/apiserver/pkg/server/secure_serving.go (ReadHeaderTimeout)
"""
TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\n\r\n431 Request Header Fields Too Large"
)


class IdentifyingProtocol(HttpToolsProtocol):
    """Tells the application who is at the other end: pass it to `serve` as `http=IdentifyingProtocol`.

    `scope["state"]` gets `client_cert` (as `getpeercert()`, only if verified), `client_cert_der` and `protocol`, this
    object, whose transport a tunnel may take over. Semi-private parts of uvicorn are touched here: its version is
    pinned.
    """

    _head: int | None = None  # bytes of a head that has begun and not ended
    _patience: asyncio.TimerHandle | None = None  # while a head is waited for

    def connection_made(self, transport: Any) -> None:
        secured = transport.get_extra_info("ssl_object")
        certificate = secured.getpeercert() if secured is not None else None
        super().connection_made(transport)
        self.app_state = {
            **self.app_state,
            "client_cert": certificate or None,
            "client_cert_der": secured.getpeercert(True) if certificate else None,
            "protocol": self,
        }
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # a broken connection would be kept until it had been idle for long

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:  # the parser would go on collecting until no memory is left
                self.transport.write(TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)
        if self._head is not None and self._patience is None:
            self._wait_for_head()

    def _wait_for_head(self) -> None:
        """Who never says what it wants is sent away, without a word, as by Go."""
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_for_head()  # for the next one, that is, which has time until it is its turn
            return
        self.transport.close()

    def _wait_no_longer(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def on_message_begin(self) -> None:
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head = None
        self._wait_no_longer()
        super().on_headers_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade to SPDY is no reason for a warning: the application tunnels it."""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        if cycle.scope["method"] != "HEAD":  # the head is all there is
            cycle.transport = _Joined(cycle)
        super()._start_asgi_task(cycle, app)


class _Joined:
    """The transport of one answer: its head waits for the beginning of its body, and both go out together.

    uvicorn writes them one after the other, which makes two system calls, two TLS records, and often two wake-ups of
    the client. An application that has said how its answer begins must say next what is in it, be it nothing.
    """

    __slots__ = ("_cycle", "_head", "_transport")

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._transport: asyncio.Transport = cycle.transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Hold back the head of an answer whose length is known; `100 Continue` is none, and a stream may be slow."""
        if self._head:
            self._flush(data)
        elif self._cycle is None or not self._cycle.response_started:
            self._transport.write(data)
        elif self._cycle.chunked_encoding:
            self._flush(data)
        else:
            self._head = data

    def is_closing(self) -> bool:
        """Has it ended?"""
        return self._transport.is_closing()

    def close(self) -> None:
        """End the connection, after whatever was said."""
        self._flush(b"")
        self._transport.close()

    def _flush(self, data: bytes) -> None:
        head, self._head, self._cycle = self._head, b"", None
        self._transport.write(head + data)


class EmbeddedServer(uvicorn.Server):
    """uvicorn inside a process that handles its own signals."""

    async def run_until_cancelled(self, listener: socket.socket) -> None:
        """Serve; on cancellation drain and return."""
        serving = asyncio.ensure_future(self._serve([listener]))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            self.should_exit = True
            await serving
            raise
