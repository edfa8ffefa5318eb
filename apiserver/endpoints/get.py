"""GET of one object: its bytes as they lie in the cache."""

from __future__ import annotations

from apiserver.endpoints.forms import form_of, view_of
from apiserver.endpoints.list_options import revision_in, too_large
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.sending import send_bytes
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.registry.resource import Resource
from apiserver.registry.store import raise_translated
from apiserver.request import RequestContext, first
from apiserver.storage.interface import KeyNotFound, RevisionTooLarge, StorageError, Stored
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import name_of


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a GET of an object or of a part of it."""
    info = context.info
    form = accepted(scope, context)
    minimum = revision_in(first(context.query, "resourceVersion")) if context.query else None
    key = row.key(info.namespace if row.namespaced else "", info.name)
    try:
        if row.observed:
            stored = await _looked_at(endpoints, row, info.name)
        else:
            stored = await endpoints.storage.get(key, minimum_revision=minimum)
    except RevisionTooLarge as error:
        raise too_large(error) from None
    except StorageError as error:
        if isinstance(error, KeyNotFound) and info.subresource == "scale" and row.custom is None:
            # upstream's window says so of itself
            raise errors.NotFound.of(row.group, f"{row.plural}/scale", info.name) from None
        raise_translated(row, info.name, error)
        raise
    subresource = row.subresources[info.subresource] if info.subresource else None
    if subresource is not None and subresource.view is not None:
        obj = stored.obj if row.from_storage is None else row.from_storage(stored.decode())
        if subresource.check is not None:
            subresource.check(obj)
        body = view_of(endpoints, form, subresource, context, subresource.view(obj))
    else:
        body = form_of(endpoints, form, row, context).one(stored)
    await send_bytes(scope, send, form, [body], len(body))


async def _looked_at(endpoints: Endpoints, row: Resource, name: str) -> Stored:
    for one in await endpoints.registry.observed(row):
        if name_of(one.obj) == name:
            return one
    raise KeyNotFound(name)
