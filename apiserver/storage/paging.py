"""Cuts a page out of what is there, or was there: what it costs depends on the page, not on how much there is.

Where everything has to be looked at, that is done piece by piece, and others have their turn between.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence

from apiserver.storage.family import Shelf
from apiserver.storage.interface import Change, Page, Predicate, Stored

Past = Mapping[str, "Stored | None"]
"""What was under the keys that have changed since; None: nothing."""


Work = Generator[None, None, Page]
"""The making of a page, which pauses wherever others could have their turn."""
TURN = 0.004  # seconds for which nobody else has one
PIECE = 100  # objects that are looked at without a pause


def at_once(work: Work) -> Page:
    """Do it without a pause."""
    while (page := _go_on(work)) is None:
        pass
    return page


async def in_turns(work: Work) -> Page:
    """Let others have the loop after each turn."""
    until = time.perf_counter() + TURN
    while (page := _go_on(work)) is None:
        if time.perf_counter() >= until:
            await asyncio.sleep(0)
            until = time.perf_counter() + TURN
    return page


def _go_on(work: Work) -> Page | None:
    """Up to the next pause; the page when it is done."""
    try:
        next(work)
    except StopIteration as done:
        page: Page = done.value
        return page
    return None


def past_of(changes: Sequence[Change]) -> Past:
    """How things were before some changes, which come oldest first."""
    past: dict[str, Stored | None] = {}
    for change in changes:
        past.setdefault(change.key, change.previous)
    return past


def whole(
    shelves: Sequence[Shelf],
    revision: int,
    start_key: str,
    limit: int,
    past: Past,
    objects: Mapping[str, Stored],
) -> Page:
    """A page of everything; knows how much is left. `objects` are all that there are now."""
    found = (
        [*itertools.islice(_as_it_was(shelves, start_key, past), limit + 1 if limit else None)]
        if past
        else _first(shelves, start_key, limit)
    )
    if not limit or len(found) <= limit:
        return Page(found, revision)
    del found[limit:]
    next_key = found[-1].key + "\0"
    remaining = sum(_count_from(shelf, next_key) for shelf in shelves)
    if past:
        remaining += _more_then(objects, next_key, past)
    return Page(found, revision, next_key, remaining)


def selected(items: Sequence[Stored], revision: int, limit: int, predicate: Predicate) -> Work:
    """A page of what a predicate lets through; the next one begins behind the last object that was looked at."""
    found: list[Stored] = []
    for begin in range(0, len(items), PIECE):
        piece = items[begin : begin + PIECE]
        if not limit:
            found += [stored for stored in piece if predicate(stored)]
        else:
            for at, stored in enumerate(piece, begin):
                if len(found) == limit and at:
                    return Page(found, revision, items[at - 1].key + "\0")
                if predicate(stored):
                    found.append(stored)
        yield
    return Page(found, revision)


def in_order(shelves: Sequence[Shelf], start_key: str, past: Past) -> list[Stored]:
    """All objects from a key on, now or as they were."""
    return [*_as_it_was(shelves, start_key, past)] if past else _first(shelves, start_key, 0)


def sorted_from(candidates: Collection[Stored], prefix: str, start_key: str, past: Past) -> list[Stored]:
    """What an index found, below a prefix and from a key on, and whatever was otherwise then."""
    found = {stored.key: stored for stored in candidates if stored.key.startswith(prefix)}
    for key, stored in past.items():
        if stored is None:
            found.pop(key, None)
        else:
            found[key] = stored
    return [found[key] for key in sorted(found) if key >= start_key]


def _first(shelves: Sequence[Shelf], start_key: str, limit: int) -> list[Stored]:
    """Up to one more than the limit."""
    found: list[Stored] = []
    for shelf in shelves:
        begin = bisect.bisect_left(shelf.keys, start_key) if start_key else 0
        if not limit:
            found += shelf.items[begin:] if begin else shelf.items
            continue
        found += shelf.items[begin : begin + limit + 1 - len(found)]
        if len(found) > limit:
            break
    return found


def _from(shelves: Sequence[Shelf], start_key: str) -> Iterator[Stored]:
    for shelf in shelves:
        begin = bisect.bisect_left(shelf.keys, start_key) if start_key else 0
        yield from shelf.items[begin:] if begin else shelf.items


def _as_it_was(shelves: Sequence[Shelf], start_key: str, past: Past) -> Iterator[Stored]:
    """Two sorted sequences merged: what has not changed, and what stood where something has."""
    restored = iter(
        sorted((key, stored) for key, stored in past.items() if stored is not None and key >= start_key)
    )
    key, before = next(restored, ("", None))
    for stored in _from(shelves, start_key):
        while before is not None and key <= stored.key:
            yield before
            key, before = next(restored, ("", None))
        if stored.key not in past:
            yield stored
    while before is not None:
        yield before
        key, before = next(restored, ("", None))


def _more_then(objects: Mapping[str, Stored], start_key: str, past: Past) -> int:
    """How many more objects there were than there are, from a key on."""
    changed = [(key, stored) for key, stored in past.items() if key >= start_key]
    return sum(stored is not None for _, stored in changed) - sum(key in objects for key, _ in changed)


def _count_from(shelf: Shelf, start_key: str) -> int:
    return len(shelf.keys) - bisect.bisect_left(shelf.keys, start_key)
