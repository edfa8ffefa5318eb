"""What browsers are told: which pages may ask (CORS), and that only HTTPS is spoken (HSTS).

Both are off unless flags ask for them.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import re2

from apiserver.configuration import ConfigurationError
from kubarium.component_base.serving import App, Receive, Scope, Send

METHODS = b"POST, GET, OPTIONS, PUT, DELETE, PATCH"
HEADERS = b", ".join(
    b"Content-Type Content-Length Accept-Encoding X-CSRF-Token Authorization X-Requested-With If-Modified-Since".split()
)
_DIRECTIVES = ("includeSubDomains", "preload")


def check_origins(origins: Sequence[str]) -> None:
    """Each is an expression for whole hosts, lest it allow more than was meant. Raises ConfigurationError."""
    for origin in origins:
        try:
            re2.compile(origin)
        except re2.error as error:
            raise ConfigurationError(
                f"--cors-allowed-origins has an invalid regular expression: {error}"
            ) from None
        begins, ends = "^" in origin or "//" in origin, "$" in origin or ":" in origin.replace("://", "")
        if not (begins and ends):
            text = "regular expression does not pin to start/end of host in the origin header"
            raise ConfigurationError(f"--cors-allowed-origins has an invalid regular expression: {text}")


def check_directives(directives: Sequence[str]) -> None:
    """Only what RFC 6797 knows. Raises ConfigurationError."""
    for directive in directives:
        name, _, value = directive.partition("=")
        if directive not in _DIRECTIVES and not (name == "max-age" and value.isdigit()):
            text = "allowed values: max-age=expireTime, includeSubDomains, preload."
            source = "see https://tools.ietf.org/html/rfc6797#section-6.1 for more information"
            raise ConfigurationError(f"--strict-transport-security-directives invalid, {text} {source}")


class Cors:
    """Lets pages of some origins read answers, and answers what browsers ask before."""

    def __init__(self, app: App, origins: Sequence[str]) -> None:
        check_origins(origins)
        self._app = app
        self._origins = [re2.compile(origin) for origin in origins]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = next((value for name, value in scope.get("headers", ()) if name == b"origin"), b"")
        if not origin or not any(one.search(origin.decode("latin-1")) for one in self._origins):
            await self._app(scope, receive, send)
            return
        allowed = [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", HEADERS),
            (b"access-control-expose-headers", b"Date"),
            (b"access-control-allow-credentials", b"true"),
        ]
        if scope.get("method") == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": allowed})
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, adding(send, allowed))


class StrictTransport:
    """Tells browsers to come by HTTPS only, and for how long."""

    def __init__(self, app: App, directives: Sequence[str]) -> None:
        check_directives(directives)
        self._app = app
        self._header = (b"strict-transport-security", "; ".join(directives).encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, adding(send, [self._header]))


def adding(send: Send, headers: Sequence[tuple[bytes, bytes]]) -> Send:
    """`send`, with more headers."""

    async def more(message: MutableMapping[str, Any]) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return more
