"""GET of many: selected objects in parts of cached bytes, whole or page by page."""

from __future__ import annotations

from apiserver.endpoints.continue_tokens import ExpiredContinue, encode_token
from apiserver.endpoints.forms import LIST_TAIL, form_of
from apiserver.endpoints.list_options import LIST_TOO_OLD, ListOptions, list_options, too_large
from apiserver.endpoints.negotiation import accepted
from apiserver.endpoints.selection import Selection, selection_of
from apiserver.endpoints.sending import cut, send_bytes
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.registry.resource import Resource
from apiserver.registry.store import raise_translated
from apiserver.request import RequestContext
from apiserver.storage.interface import Page, RevisionCompacted, RevisionTooLarge, StorageError
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base.metrics import Counts

_LISTS = Counts(
    "apiserver_cache_list_total",
    "Number of LIST requests served from watch cache",
    ("group", "resource", "index"),
)
_LISTED = Counts(
    "apiserver_cache_list_returned_objects_total",
    "Number of objects returned for a LIST request from watch cache",
    ("group", "resource"),
)


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a list."""
    wanted = accepted(scope, context)
    options = list_options(context.query)
    selection = selection_of(row, context.info)
    form = form_of(endpoints, wanted, row, context, of_list=True)
    prefix = row.list_prefix(context.info.namespace)
    if row.observed:
        page = await _looked_at(endpoints, row, selection)
    else:
        page = await page_of(endpoints, row, prefix, options, selection)
    _LISTS.add((row.group, row.plural, ""))
    _LISTED.add((row.group, row.plural), len(page.items))
    head = form.list_head(metadata_of(page, prefix, selection))
    parts, size = cut(head, form.items(page.items), LIST_TAIL)
    await send_bytes(scope, send, wanted, parts, size)


async def page_of(
    endpoints: Endpoints, row: Resource, prefix: str, options: ListOptions, selection: Selection
) -> Page:
    """The objects that a list asks for. Raises StatusError."""
    try:
        return await endpoints.storage.list(
            prefix,
            minimum_revision=options.minimum_revision,
            exact_revision=options.exact_revision,
            start_key=prefix + options.start if options.start else "",
            limit=options.limit,
            predicate=selection.predicate,
            hints=selection.hints,
        )
    except RevisionCompacted:
        if options.continues:
            raise ExpiredContinue(options.start) from None
        raise errors.Expired(LIST_TOO_OLD) from None
    except RevisionTooLarge as error:
        raise too_large(error, retry=not options.exact_revision) from None
    except StorageError as error:
        raise_translated(row, "", error)
        raise


async def _looked_at(endpoints: Endpoints, row: Resource, selection: Selection) -> Page:
    found = await endpoints.registry.observed(row)
    chosen = [one for one in found if selection.predicate is None or selection.predicate(one)]
    return Page(chosen, 0)  # nothing that is kept: there is no revision


def metadata_of(page: Page, prefix: str, selection: Selection) -> Object:
    """What a list says about itself."""
    metadata: Object = {"resourceVersion": str(page.revision)} if page.revision else {}
    if page.next_key:
        metadata["continue"] = encode_token(page.revision, page.next_key.removeprefix(prefix))
        if selection.predicate is None and page.remaining:
            metadata["remainingItemCount"] = page.remaining
    return metadata
