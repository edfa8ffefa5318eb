"""DELETE of one object or of a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from apiserver.admission.plugin import DELETE
from apiserver.endpoints import body
from apiserver.endpoints.answer import external, send_object, send_stored
from apiserver.endpoints.forms import LIST_TAIL, form_of
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.selection import selection_of
from apiserver.endpoints.sending import cut, send_bytes
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.writing import attributes_of
from apiserver.registry import deletion
from apiserver.registry.resource import Resource
from apiserver.registry.store import Judge, Shown, Written, raise_translated
from apiserver.request import RequestContext, first
from apiserver.storage.interface import StorageError, Stored
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of

KINDS = ("DeleteOptions", "Status")
WORKERS = 8  # objects of a collection that are deleted at the same time


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a DELETE of one object."""
    if context.info.subresource:
        raise errors.MethodNotAllowed()
    options = await read_options(endpoints, context, scope, receive)
    namespace = context.info.namespace if row.namespaced else ""
    written = await deletion.delete(
        endpoints.registry,
        row,
        context,
        namespace,
        context.info.name,
        options,
        judge_of(endpoints, row, context, options),
    )
    if written.deleted and not row.strategy.returns_deleted:
        await send_object(send, success(row, written))
        return
    waiting = not written.deleted and options.get("orphanDependents") is False
    await send_stored(endpoints, row, context, scope, send, written.stored, 202 if waiting else 200)


async def handle_collection(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a DELETE of all objects that selectors select."""
    options = await read_options(endpoints, context, scope, receive)
    wanted = accepted(scope, context)
    form = form_of(endpoints, wanted, row, context, of_list=True)
    selection = selection_of(row, context.info)
    try:
        page = await endpoints.storage.list(
            row.list_prefix(context.info.namespace if row.namespaced else ""),
            predicate=selection.predicate,
            hints=selection.hints,
        )
    except StorageError as error:
        raise_translated(row, "", error)
        raise
    judge = judge_of(endpoints, row, context, options)

    async def delete(item: Stored) -> Shown | None:
        """Its last state; nothing if somebody else was faster."""
        namespace = item.key.rsplit("/", 2)[1] if row.namespaced else ""
        try:
            written = await deletion.delete(
                endpoints.registry, row, context, namespace, item.name, options, judge
            )
        except errors.NotFound:
            return None
        return external(row, written.stored)

    found = [shown for shown in await _each(page.items, delete) if shown is not None]
    metadata = {"resourceVersion": str(await endpoints.storage.current_revision(row.prefix))}
    parts, size = cut(form.list_head(metadata), form.items(cast("list[Stored]", found)), LIST_TAIL)
    await send_bytes(scope, send, wanted, parts, size)


async def read_options(
    endpoints: Endpoints, context: RequestContext, scope: Scope, receive: Receive
) -> Object:
    """DeleteOptions from the body, whatever it says, or from the query where there is none."""
    options = await body.read_optional(endpoints, context, scope, receive, KINDS)
    if options is None:
        options = _options_of_query(context)
    if problems := deletion.options_errors(options):
        raise errors.Invalid.of("meta.k8s.io", "DeleteOptions", "", problems)
    if options.get("dryRun"):
        context.dry_run = True
    return options


def _options_of_query(context: RequestContext) -> Object:
    query = context.query
    options: Object = {}
    if text := first(query, "gracePeriodSeconds"):
        try:
            options["gracePeriodSeconds"] = int(text)
        except ValueError:
            raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if text := first(query, "propagationPolicy"):
        options["propagationPolicy"] = text
    if text := first(query, "orphanDependents"):
        options["orphanDependents"] = text.lower() in ("1", "t", "true")
    if values := query.get("dryRun"):
        options["dryRun"] = list(values)
    return options


def judge_of(endpoints: Endpoints, row: Resource, context: RequestContext, options: Object) -> Judge:
    """Admission's word on the deletion of an object."""

    async def judge(new: Object, old: Object | None) -> None:
        attributes = attributes_of(row, context, DELETE, None, old, options=options)
        attributes.name = name_of(new)
        if row.namespaced:
            attributes.namespace = namespace_of(new)
        await endpoints.admission.admit(attributes)
        await endpoints.admission.validate(attributes)

    return judge


def success(row: Resource, written: Written) -> Object:
    """What a client learns of an object that is gone."""
    obj = written.stored.obj
    details = {"name": name_of(obj), "group": row.group, "kind": row.plural, "uid": uid_of(obj)}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


async def _each(
    items: Sequence[Stored], work: Callable[[Stored], Awaitable[Shown | None]]
) -> list[Shown | None]:
    """The results of some work on each item, a few at a time; after the first failure no more is begun."""
    results: list[Shown | None] = [None] * len(items)
    todo = iter(range(len(items)))

    async def work_on() -> None:
        for at in todo:
            results[at] = await work(items[at])

    workers = [asyncio.ensure_future(work_on()) for _ in range(min(WORKERS, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)
    return results
