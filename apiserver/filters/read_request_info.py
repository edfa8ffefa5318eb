"""URL and method -> `RequestInfo`, in the context that all other filters share."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from apiserver.request import (
    ANONYMOUS,
    BAD_ESCAPE,
    CONTEXT,
    RequestContext,
    RequestInfo,
    accepts_only_protobuf,
    parse_query,
    parse_request,
)
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App, Receive, Scope, Send, respond

HEADERS = "kubarium.headers"
"""The scope key of a list of headers that filters want in the answer."""

_LONG_VERBS = frozenset({"watch", "proxy"})
_LONG_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})
_ALL_WARNINGS, _LONG_WARNING = 4096, 256  # characters
_NO_QUERY: Mapping[str, list[str]] = {}


def is_long_running(info: RequestInfo) -> bool:
    """Watches and streams last as long as they last."""
    return info.verb in _LONG_VERBS or info.subresource in _LONG_SUBRESOURCES


class ReadRequestInfo:
    """Puts a `RequestContext` into the scope, and what it collects into the answer's headers."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        raw_path = scope.get("raw_path") or b""
        if b"%" in raw_path and BAD_ESCAPE.search(raw_path):
            await respond(send, 400, "text/plain; charset=utf-8", b"400 Bad Request")
            return
        context = scope[CONTEXT] = self._context_of(scope)
        more: list[tuple[bytes, bytes]] = []
        scope[HEADERS] = more

        async def stamped(message: MutableMapping[str, Any]) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = message["headers"] = [*message.get("headers", ()), *more, *_common_headers(context)]
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append(_NEVER_KEPT)
            await send(message)

        await self._app(scope, receive, stamped)

    def _context_of(self, scope: Scope) -> RequestContext:
        raw = scope.get("query_string")
        query = parse_query(raw) if raw else _NO_QUERY
        user_agent = audit_id = ""
        accept = b""
        for name, value in scope["headers"]:
            if name == b"user-agent":
                user_agent = value.decode("latin-1")
            elif name == b"accept":
                accept = b"%b,%b" % (accept, value) if accept else value
            elif name == b"audit-id":
                audit_id = value.decode("latin-1")[:64]
        client = scope.get("client")
        return RequestContext(
            info=parse_request(scope.get("method", "GET"), scope["path"], query),
            user=ANONYMOUS,
            clock=self._clock,
            query=query,
            user_agent=user_agent,
            source_ip=client[0] if client else "",
            audit_id=audit_id or _fresh_id(),
            only_protobuf=accepts_only_protobuf(accept),
        )


_NEVER_KEPT = (b"cache-control", b"no-cache, private")  # unless the answer itself says otherwise


def _fresh_id() -> str:
    """A UUID of version 4, in a third of the time: it must be different, not secret."""
    text = f"{random.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _common_headers(context: RequestContext) -> list[tuple[bytes, bytes]]:
    found = [(b"audit-id", context.audit_id.encode())]
    if context.warnings:
        found += [(b"warning", header) for header in _warnings(context.warnings)]
    return found


def _warnings(texts: list[str]) -> Iterator[bytes]:
    """What cannot stand in a header is not said; where there is very much to say, each warning is cut short.

    Source: k8s.io/apiserver/pkg/endpoints/filters/warning.go
    """
    limit = _LONG_WARNING if sum(map(len, texts)) > _ALL_WARNINGS else None
    for text in texts:
        if not any(unicodedata.category(character) == "Cc" for character in text):
            quoted = text[:limit].replace("\\", "\\\\").replace('"', '\\"')
            yield f'299 - "{quoted}"'.encode("utf-8", "replace")
