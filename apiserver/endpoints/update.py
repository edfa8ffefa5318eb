"""PUT: decode, default, let admission change and judge, replace."""

from __future__ import annotations

from apiserver.endpoints import body
from apiserver.endpoints.answer import send_stored
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.writing import Writing, check_place, subresource_of
from apiserver.registry.resource import Resource, Subresource
from apiserver.registry.store import Change
from apiserver.request import RequestContext
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, copy, name_of


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a PUT of an object, or of one of its subresources."""
    body.read_options(context, "UpdateOptions")
    subresource = subresource_of(row, context)
    kind = subresource.kind if subresource is not None and subresource.merge is not None else row.gvk
    sent = await body.read_object(endpoints, row, context, scope, receive, kind)
    check_name(context, sent)
    check_place(row, context, sent)
    if row.to_storage is not None and kind == row.gvk:
        sent = row.to_storage(sent)
    writing = Writing(endpoints, row, context)
    try:
        written = await endpoints.registry.update(
            row,
            context,
            context.info.namespace if row.namespaced else "",
            context.info.name,
            _change(writing, row, subresource, sent),
            writing.judge(),
            subresource=subresource,
            create=writing.judge() if row.strategy.allow_create_on_update and subresource is None else None,
            unconditional=subresource is not None and subresource.merge is not None,
        )
    except BaseException:
        await writing.undo()
        raise
    status = 201 if written.created else 200
    await send_stored(endpoints, row, context, scope, send, written.stored, status, subresource)


def check_name(context: RequestContext, obj: Object) -> None:
    """The name in the body must be that of the URL."""
    name = name_of(obj)
    if not name:
        text = f"the name of the object ({context.info.name} based on URL) was undeterminable: name must be provided"
        raise errors.BadRequest(text)
    if name != context.info.name:
        text = f"the name of the object ({name}) does not match the name on the URL ({context.info.name})"
        raise errors.BadRequest(text)


def _change(writing: Writing, row: Resource, subresource: Subresource | None, sent: Object) -> Change:
    async def change(current: Object | None) -> Object:
        if subresource is not None and subresource.merge is not None:
            assert current is not None
            new = subresource.merge(current, sent)
        else:
            new = copy(sent)  # may be asked for again
        row.strategy.defaults(new)
        writing.drop_repeated_owners(new)
        await writing.note_fields(current, new, subresource.name if subresource is not None else "")
        return await writing.admit(new, current)

    return change
