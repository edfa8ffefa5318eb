"""A stream of events: what is there (if asked for), then what happens, bookmarks in between.

    storage.watch ─▶ batches of changes ─▶ selectors ─▶ ADDED, MODIFIED, DELETED ─▶ one write for each batch

An event is encoded once for each form and kept with the change, so that a thousand watchers send the same bytes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence

import orjson

from apiserver.endpoints.forms import Form, form_of
from apiserver.endpoints.list_options import WatchOptions, too_large, watch_options
from apiserver.endpoints.negotiation import TABLE, Accepted, accepted
from apiserver.endpoints.pipe import Pipe, chunk
from apiserver.endpoints.selection import Selection, selection_of
from apiserver.endpoints.sending import PART
from apiserver.endpoints.server import Endpoints, Receive, Scope, Send
from apiserver.registry.resource import Resource
from apiserver.registry.store import raise_translated
from apiserver.request import RequestContext
from apiserver.storage.interface import (
    Batch,
    Change,
    Page,
    RevisionCompacted,
    RevisionTooLarge,
    StorageError,
    Stored,
    Watch,
)
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.protobuf.encoding import NotMarshalable
from kubarium.apimachinery.watch import ADDED, BOOKMARK, DELETED, ERROR, INITIAL_EVENTS_END, MODIFIED
from kubarium.component_base.departure import until_gone
from kubarium.component_base.metrics import Counts, Timings

SHORTEST = 1800.0  # seconds after which a watch may be ended; upstream's --min-request-timeout
BOOKMARK_INTERVAL = 60.0  # seconds
EARLY = 0.01  # seconds by which a timer may wake us too early
_OPENINGS = {
    kind: b'{"type":"%s","object":' % kind.encode() for kind in (ADDED, MODIFIED, DELETED, BOOKMARK, ERROR)
}
_CLOSING = b"}\n"
_EVENTS = Counts(
    "apiserver_watch_events_total",
    "Number of events sent in watch clients",
    ("group", "version", "resource"),
)
_INITIAL_SECONDS = Timings(
    "apiserver_watch_list_duration_seconds",
    "Response latency distribution in seconds for watch list requests broken by group, version, resource and scope.",
    ("group", "version", "resource", "scope"),
    (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 15, 20, 30, 45, 60),
)


async def handle(
    endpoints: Endpoints, row: Resource, context: RequestContext, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer a watch."""
    options = watch_options(context.query)
    wanted = accepted(scope, context, stream=True)
    if context.translated:
        _check_translatable(row, wanted)
    selection = selection_of(row, context.info)
    form = form_of(endpoints, wanted, row, context, stream=True)
    prefix = row.list_prefix(context.info.namespace)
    stream = Stream(Pipe(scope, send), form, selection, options, context)
    try:
        initial, after = await _beginning(endpoints, prefix, options, selection)
        watch = await endpoints.storage.watch(prefix, after_revision=after, hints=selection.hints)
    except RevisionCompacted as error:
        await stream.refuse(errors.Expired(f"too old resource version: {options.version} ({error.current})"))
        return
    except RevisionTooLarge as error:
        await stream.refuse(too_large(error))
        return
    except StorageError as error:
        raise_translated(row, "", error)
        raise
    await stream.run(watch, initial, receive)


def _check_translatable(row: Resource, wanted: Accepted) -> None:
    """Events cannot be refused any more when the answer has begun. Raises NotAcceptable."""
    if wanted.transform == TABLE or (not wanted.transform and row.custom is not None):
        raise errors.NotAcceptable(str(NotMarshalable(wanted.transform or row.kind)))


async def _beginning(
    endpoints: Endpoints, prefix: str, options: WatchOptions, selection: Selection
) -> tuple[Page | None, int]:
    """What is told first, and the revision after which changes are told."""
    any_start = options.version in ("", "0")
    if not options.initial_events and not any_start:
        return None, options.revision
    minimum = None if options.version == "" else options.revision
    if options.initial_events is False:
        page = await endpoints.storage.list(prefix, minimum_revision=minimum, limit=1)
        return None, page.revision
    page = await endpoints.storage.list(
        prefix, minimum_revision=minimum, predicate=selection.predicate, hints=selection.hints
    )
    return page, page.revision


class Stream:
    """One watch on its way to a client."""

    __slots__ = (
        "_began", "_begun", "_bookmark_due", "_clock", "_end", "_form", "_offer", "_options", "_pipe", "_place",
        "_predicate", "_scope", "_shared", "_told",
    )  # fmt: skip

    def __init__(
        self, pipe: Pipe, form: Form, selection: Selection, options: WatchOptions, context: RequestContext
    ) -> None:
        self._pipe = pipe
        self._form = form
        self._predicate = selection.predicate
        self._options = options
        self._clock = context.clock
        self._begun = context.begun
        self._place = (context.info.group, context.info.version, context.info.resource)
        self._told = _EVENTS.of(self._place)
        self._shared = form.key if selection.predicate is None else None  # equal for streams of equal bytes
        self._scope = (
            "resource" if context.info.name else "namespace" if context.info.namespace else "cluster"
        )
        now = self._began = self._clock.monotonic()
        self._end = now + (options.timeout or random.uniform(SHORTEST, 2 * SHORTEST))
        self._bookmark_due = now + BOOKMARK_INTERVAL

    async def refuse(self, error: errors.StatusError) -> None:
        """Say in the stream that the watch cannot begin: clients expect it there."""
        await self._pipe.open()
        await self._pipe.close(_OPENINGS[ERROR] + orjson.dumps(error.status()) + _CLOSING)

    async def run(self, watch: Watch, initial: Page | None, receive: Receive) -> None:
        """Send until the client leaves, time is up, or the watch ends."""
        loop = asyncio.get_running_loop()
        helpers = [
            loop.create_task(_close_when_gone(watch, receive), name="watch disconnect"),
            loop.create_task(self._remind(watch), name="watch reminder"),
        ]
        try:
            await self._pipe.open()
            if initial is not None:
                await self._tell_initial(initial)
            self._begun()
            await self._follow(watch)
        finally:
            watch.close()
            for helper in helpers:
                helper.cancel()
        await self._pipe.close()

    async def _tell_initial(self, page: Page) -> None:
        for part in self._initial_parts(page.items):
            await self._pipe.write(part)
        if self._options.initial_events and self._options.bookmarks:
            await self._pipe.write(self._bookmark(page.revision, {INITIAL_EVENTS_END: "true"}))
            _INITIAL_SECONDS.observe((*self._place, self._scope), self._clock.monotonic() - self._began)

    def _initial_parts(self, items: Sequence[Stored]) -> Iterator[bytes]:
        gathered: list[bytes] = []
        size = 0
        for stored in items:
            event = _OPENINGS[ADDED] + self._form.event(stored) + _CLOSING
            gathered.append(event)
            size += len(event)
            if size >= PART:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)

    async def _follow(self, watch: Watch) -> None:
        self._offer = self._pipe.offer
        watch.hand_to(self._take)
        async for batch in watch:
            if batch:
                self._told.value += len(batch)
                body = b"".join(map(self._event, batch))
                if body:
                    await self._pipe.write(body)
                continue
            now = self._clock.monotonic()
            over = now >= self._end - EARLY
            if self._options.bookmarks and (over or now >= self._bookmark_due - EARLY):
                self._bookmark_due = now + BOOKMARK_INTERVAL
                await self._pipe.write(self._bookmark(watch.revision))
            if over:
                return

    def _take(self, batch: Batch) -> bool:
        """What `_follow` does with a batch, unless it takes waiting: then the batch goes there."""
        framed = batch.wire.get(self._shared)
        if framed is None:
            framed = self._framed(batch)
        offer = self._offer
        if framed and not offer(framed):
            return False
        self._told.value += len(batch)
        return True

    def _framed(self, batch: Batch) -> bytes:
        """A batch as a chunk, kept with it for the watchers that get the same."""
        body = b"".join(map(self._event, batch))
        framed = chunk(body) if body else b""
        if self._shared is not None:
            batch.wire[self._shared] = framed
        return framed

    def _event(self, change: Change) -> bytes:
        """One change as an event for this watcher, or nothing: an object may enter or leave the selection."""
        current, previous, predicate = change.current, change.previous, self._predicate
        now = current is not None and (predicate is None or predicate(current))
        before = previous is not None and (predicate is None or predicate(previous))
        if not now and not before:
            return b""
        kind = (MODIFIED if before else ADDED) if now else DELETED
        key = self._form.key
        if key is not None and (known := change.wire.get((key, kind))) is not None:
            return known
        shown = current if now else previous.at(change.revision)  # type: ignore[union-attr]
        assert shown is not None
        event = _OPENINGS[kind] + self._form.event(shown) + _CLOSING
        if key is not None:
            change.wire[key, kind] = event
        return event

    def _bookmark(self, revision: int, annotations: Object | None = None) -> bytes:
        metadata: Object = {"resourceVersion": str(revision)}
        if annotations:
            metadata["annotations"] = annotations
        return _OPENINGS[BOOKMARK] + self._form.bookmark(metadata) + _CLOSING

    async def _remind(self, watch: Watch) -> None:
        """Wake the stream when a bookmark is due or its time is up."""
        while True:
            due = min(self._end, self._bookmark_due) if self._options.bookmarks else self._end
            await self._clock.sleep(max(due - self._clock.monotonic(), 0))
            watch.wake()
            await self._clock.sleep(1)  # the stream may be busy writing; then it looks at the time later


async def _close_when_gone(watch: Watch, receive: Receive) -> None:
    """A client that hangs up is only noticed by listening to it."""
    await until_gone(receive)
    watch.close()
