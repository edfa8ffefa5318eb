"""Protobuf, for the clients that accept nothing else: what an endpoint said in JSON is said again.

Answers are bytes of JSON that storage keeps, and every client that prefers protobuf takes JSON too when it names a
second choice. Those that name none pay for the translation: an object, a list and a Status in their envelope, a watch
as frames (four bytes of length, then a `WatchEvent`).

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import orjson

from apiserver.request import CONTEXT, RequestContext
from kubarium.apimachinery import codec, errors
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.encoding import NotMarshalable, encode, encode_event
from kubarium.component_base.serving import App, Receive, Scope, Send

_JSON = codec.JSON.encode()
_WATCH = codec.PROTOBUF.encode() + b";stream=watch"


class ProtobufAnswers:
    """Translates the answers of endpoints that were asked to speak JSON instead (`context.translated`)."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        if context.only_protobuf and scope["type"] == "http":
            send = _Translation(send, context)
        await self._app(scope, receive, send)


class _Translation:
    """The `send` of one answer."""

    def __init__(self, send: Send, context: RequestContext) -> None:
        self._send = send
        self._context = context
        self._start: MutableMapping[str, Any] | None = None  # held back until the length is known
        self._streams = False
        self._pending = b""

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._streams:
            await self._send({**message, "body": self._frames(message.get("body", b""))})
        elif self._start is not None:
            await self._gather(message)
        else:
            await self._send(message)

    async def _begin(self, message: MutableMapping[str, Any]) -> None:
        headers = dict(message["headers"])
        if not self._context.translated or not headers.get(b"content-type", b"").startswith(_JSON):
            await self._send(message)
        elif b"content-length" in headers:
            self._start = message
        else:
            self._streams = True
            await self._send(_described(message, _WATCH, None))

    async def _gather(self, message: MutableMapping[str, Any]) -> None:
        self._pending += message.get("body", b"")
        if message.get("more_body"):
            return
        assert self._start is not None
        start, body = self._start, self._pending
        obj = orjson.loads(body) if body else None
        if isinstance(obj, dict) and obj.get("kind"):
            refusal, body = _encoded(obj)
            if refusal and start["status"] < 300:
                start["status"] = refusal
            shown_as = b"" if refusal else dict(start["headers"])[b"content-type"].removeprefix(_JSON)
            start = _described(start, codec.PROTOBUF.encode() + shown_as, len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})

    def _frames(self, body: bytes) -> bytes:
        *lines, self._pending = (self._pending + body).split(b"\n")
        return b"".join(map(_frame, lines))


def _frame(line: bytes) -> bytes:
    event = orjson.loads(line)
    content = encode_event(event["type"], event["object"])
    return len(content).to_bytes(4, "big") + content


def _encoded(obj: Object) -> tuple[int, bytes]:
    """The status, if it becomes another one, and the body."""
    try:
        return 0, encode(obj)
    except NotMarshalable as error:
        refusal = errors.NotAcceptable(str(error))
        return refusal.code, encode(refusal.status())


def _described(
    start: MutableMapping[str, Any], media_type: bytes, length: int | None
) -> MutableMapping[str, Any]:
    replaced = (b"content-type", b"content-length")
    headers = [(name, value) for name, value in start["headers"] if name not in replaced]
    headers.append((b"content-type", media_type))
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    return {**start, "headers": headers}
