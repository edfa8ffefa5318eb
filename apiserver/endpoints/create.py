"""POST: decode, default, let admission change and judge, keep."""

from __future__ import annotations

from apiserver.endpoints import body
from apiserver.endpoints.answer import send_object, send_stored
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.writing import Writing, attributes_of, check_place, subresource_of
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.store import Shown
from apiserver.request import RequestContext
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, metadata_of, name_of


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a POST to a collection, or to a subresource that acts."""
    body.read_options(context, "CreateOptions")
    subresource = subresource_of(row, context)
    if subresource is not None:
        await act(endpoints, row, subresource, context, scope, receive, send)
        return
    if row.namespaced and not context.info.namespace and not context.info.gap:
        raise errors.MethodNotAllowed()
    obj = await body.read_object(endpoints, row, context, scope, receive)
    if row.answer is not None:
        accepted(scope, context, tables=False)
        check_place(row, context, obj)
        await send_object(send, await row.answer(endpoints.registry, row, context, obj), 201)
        return
    stored = await create(endpoints, row, context, obj)
    await send_stored(endpoints, row, context, scope, send, stored, 201)


async def create(endpoints: Endpoints, row: Resource, context: RequestContext, obj: Object) -> Shown:
    """Keep a decoded object of the row's version."""
    check_place(row, context, obj)
    if row.custom is not None and row.custom.ends:
        text = "create not allowed while custom resource definition is terminating"
        raise errors.Forbidden.of(row.group, row.plural, name_of(obj), text)
    if row.to_storage is not None:
        obj = row.to_storage(obj)
    row.strategy.defaults(obj)
    writing = Writing(endpoints, row, context)
    metadata = metadata_of(obj)
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        metadata.pop(name, None)
    writing.drop_repeated_owners(obj)
    await writing.note_fields(None, obj)
    obj = await writing.admit(obj, None)
    try:
        return await endpoints.registry.create(row, context, obj, writing.judge())
    except BaseException:
        await writing.undo()
        raise


async def act(
    endpoints: Endpoints,
    row: Resource,
    subresource: Subresource,
    context: RequestContext,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Binding, eviction, token: the body says what to do, and the answer what came of it."""
    if subresource.handle is None:
        raise errors.MethodNotAllowed()
    obj = await body.read_object(
        endpoints, row, context, scope, receive, subresource.kind, subresource.also_reads
    )
    check_place(row, context, obj)
    attributes = attributes_of(row, context, "CREATE", obj, None, kind=subresource.kind)
    await endpoints.admission.admit(attributes)
    await endpoints.admission.validate(attributes)
    answer = await subresource.handle(endpoints.registry, row, context, attributes.obj)
    await send_object(send, answer, 201)
