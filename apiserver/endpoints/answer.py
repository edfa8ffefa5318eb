"""Sends one object in the form that the client accepts."""

from __future__ import annotations

from typing import cast

import orjson

from apiserver.endpoints.forms import form_of, view_of
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.sending import send_bytes
from apiserver.endpoints.server import Endpoints, Scope, Send
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.store import Shown, Unstored
from apiserver.request import RequestContext
from apiserver.storage.interface import Stored
from kubarium.apimachinery.object import Object

_JSON = (b"content-type", b"application/json")


async def send_json(send: Send, body: bytes, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    """Send a complete JSON answer."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def send_object(send: Send, obj: Object, status: int = 200) -> None:
    """Send an object that has no other form than JSON: Status, reviews, Scale."""
    await send_json(send, orjson.dumps(obj), status)


async def send_stored(
    endpoints: Endpoints,
    row: Resource,
    context: RequestContext,
    scope: Scope,
    send: Send,
    stored: Shown,
    status: int = 200,
    subresource: Subresource | None = None,
) -> None:
    """Send what a write left behind."""
    wanted = accepted(scope, context)
    if subresource is not None and subresource.view is not None:
        shown = subresource.view(external(row, stored).obj)
        content = view_of(endpoints, wanted, subresource, context, shown)
        await send_bytes(scope, send, wanted, [content], len(content), status)
        return
    content = form_of(endpoints, wanted, row, context).one(cast("Stored", external(row, stored)))
    await send_bytes(scope, send, wanted, [content], len(content), status)


def external(row: Resource, stored: Shown) -> Shown:
    """The object in the row's own version, which may not be the one in which it is kept."""
    if row.from_storage is None:
        return stored
    return Unstored(stored.key, row.from_storage(stored.obj), stored.revision)
