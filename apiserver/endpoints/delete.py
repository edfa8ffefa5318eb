"""DELETE of one object or of a collection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from apiserver.admission.plugin import DELETE
from apiserver.endpoints import body
from apiserver.endpoints.answer import send_object, send_stored
from apiserver.endpoints.forms import LIST_TAIL, form_of
from apiserver.endpoints.list import metadata_of, page_of
from apiserver.endpoints.list_options import list_options, number_in
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.selection import selection_of
from apiserver.endpoints.sending import cut, send_bytes
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.endpoints.writing import attributes_of
from apiserver.registry import deletion
from apiserver.registry.resource import Resource
from apiserver.registry.store import Judge, Written
from apiserver.request import RequestContext, first
from apiserver.storage.interface import Stored
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
    wanted = accepted(scope, context)
    listed = list_options(context.query)
    selection = selection_of(row, context.info)
    options = await read_options(endpoints, context, scope, receive)
    form = form_of(endpoints, wanted, row, context, of_list=True)
    prefix = row.list_prefix(context.info.namespace if row.namespaced else "")
    page = await page_of(endpoints, row, prefix, listed, selection)
    judge = judge_of(endpoints, row, context, options)

    async def delete(item: Stored) -> None:
        namespace = item.key.rsplit("/", 2)[1] if row.namespaced else ""
        with contextlib.suppress(errors.NotFound):  # somebody else was faster
            await deletion.delete(endpoints.registry, row, context, namespace, item.name, options, judge)

    await _each(page.items, delete)
    # Upstream shows what it found, not what became of it.
    head = form.list_head(metadata_of(page, prefix, selection))
    parts, size = cut(head, form.items(page.items), LIST_TAIL)
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
    if (seconds := number_in(query, "gracePeriodSeconds")) is not None:
        options["gracePeriodSeconds"] = seconds
    if text := first(query, "propagationPolicy"):
        options["propagationPolicy"] = text
    if text := first(query, "orphanDependents"):
        options["orphanDependents"] = text.lower() in ("1", "t", "true")
    if values := query.get("dryRun"):
        options["dryRun"] = list(values)
    wanted = {name: text for name in ("uid", "resourceVersion") if (text := first(query, name))}
    if wanted:
        options["preconditions"] = wanted
    return options


def judge_of(endpoints: Endpoints, row: Resource, context: RequestContext, options: Object) -> Judge:
    """Admission's word on the deletion of an object."""

    async def judge(new: Object, old: Object | None) -> None:
        attributes = attributes_of(row, context, DELETE, None, old, options=options)
        if context.info.verb == "deletecollection":
            attributes.name = ""  # upstream names none of them, nor the one that a selector may name
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


async def _each(items: Sequence[Stored], work: Callable[[Stored], Awaitable[None]]) -> None:
    """Do some work on each item, on a few at a time; after the first failure no more is begun."""
    todo = iter(items)

    async def work_on() -> None:
        for item in todo:
            await work(item)

    workers = [asyncio.ensure_future(work_on()) for _ in range(min(WORKERS, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        if workers:
            await asyncio.wait(workers)
