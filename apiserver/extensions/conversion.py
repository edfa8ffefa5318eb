"""Custom resources whose versions differ in shape: a webhook of the definition turns one into another.

    rows of the catalog ─▶ /registry/converted/v1/example.com/things/…   a view: every object in version v1
                                      │  convert (ConversionReview, many objects at once)
    ConvertingStorage   ─▶ /registry/example.com/things/…                as kept: in any version that ever was stored

Everything above storage works in the version of the request; nothing there knows that the objects lie otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.admission.webhook_answers import CallFailed
from apiserver.extensions.conversion_review import GROUP, Converting
from apiserver.storage.interface import (
    NO_CHECK,
    NO_HINTS,
    Change,
    Check,
    Hints,
    Modify,
    Page,
    Predicate,
    RevisionConflict,
    Storage,
    Stored,
    Taker,
    Watch,
)
from apiserver.storage.stored import encode, stored
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging

log = logging.get(__name__)

TIMEOUT_SECONDS = 30.0
RETRY_SECONDS = 0.5  # between attempts to convert what a watch has to tell
_ROOT = "/registry/converted/"


class ConversionWebhook:
    """Asks the webhook of one definition. `call(clientConfig, body, seconds)` sends and raises on failure."""

    def __init__(self, webhook: Object, call: Callable[[Object, Object, float], Any]) -> None:
        self._config: Object = webhook.get("clientConfig") or {}
        versions = webhook.get("conversionReviewVersions") or ["v1"]
        self._review = next((version for version in versions if version in ("v1", "v1beta1")), "v1")
        self._call = call

    async def convert(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        """The objects in another version; those that are in it already are not sent."""
        others = [obj for obj in objects if obj.get("apiVersion") != api_version]
        if not others:
            return list(objects)
        converted = iter(await self._ask(others, api_version))
        return [obj if obj.get("apiVersion") == api_version else next(converted) for obj in objects]

    async def _ask(self, objects: Sequence[Object], api_version: str) -> list[Object]:
        converting = Converting(objects, api_version)
        request = {"uid": str(uuid.uuid4()), "desiredAPIVersion": api_version, "objects": list(objects)}
        review = {"kind": "ConversionReview", "apiVersion": f"{GROUP}/{self._review}", "request": request}
        try:
            answer = await self._call(self._config, review, TIMEOUT_SECONDS)
        except CallFailed as error:
            raise converting.failed(str(error).removeprefix("failed to call webhook: ")) from error
        return converting.converted(answer, self._review, str(request["uid"]))


@dataclass(frozen=True)
class View:
    """All objects of a definition as one version shows them."""

    api_version: str
    storage_version: str
    webhook: ConversionWebhook
    settle: Callable[[Object], Object]  # prune and default what is kept, in its own version
    prune: Callable[[Object], Object]  # what was converted
    mark: str  # changes with the definition

    async def opened(self, found: Sequence[Stored], shown_key: Callable[[str], str]) -> list[Stored]:
        """Kept objects, shown; remembered with the kept ones."""
        unknown = [one for one in found if one.shown_as(self.mark) is None]
        if unknown:
            kept = [self.settle(one.decode()) for one in unknown]
            objects = await self.webhook.convert(kept, self.api_version)
            for one, obj in zip(unknown, objects, strict=True):
                one.show_as(self.mark, stored(shown_key(one.key), one.revision, encode(self.prune(obj))))
        return [shown for one in found if (shown := one.shown_as(self.mark)) is not None]

    async def rehearsed(self, obj: Object) -> Object:
        """A shown object as it would be shown after it had been kept."""
        kept = self.settle(await self.closed(obj))
        return self.prune((await self.webhook.convert([kept], self.api_version))[0])

    async def closed(self, obj: Object) -> Object:
        """A shown object, as it is to be kept."""
        return (await self.webhook.convert([obj], self.storage_version))[0]


class ConvertingStorage:
    """A `Storage` in front of another one; keys under a view's prefix are converted, all others pass."""

    def __init__(self, inner: Storage) -> None:
        self._inner = inner
        self._views: dict[str, View] = {}

    def add(self, group: str, plural: str, view: View) -> str:
        """Serve a view; the `storage_prefix` of its row."""
        place = f"{view.api_version.rpartition('/')[2]}/{group}/{plural}"
        self._views[place] = view
        return f"converted/{place}"

    def _view(self, key: str) -> tuple[View, _Keys]:
        place = "/".join(key.removeprefix(_ROOT).split("/")[:3])
        view = self._views.get(place)
        if view is None:
            raise errors.NotFound.page()
        return view, _Keys(f"{_ROOT}{place}/", f"/registry/{place.partition('/')[2]}/")

    async def _opened(self, view: View, keys: _Keys, one: Stored) -> Stored:
        return (await view.opened([one], keys.shown))[0]

    async def get(self, key: str, *, minimum_revision: int | None = None) -> Stored:
        """One object."""
        if not key.startswith(_ROOT):
            return await self._inner.get(key, minimum_revision=minimum_revision)
        view, keys = self._view(key)
        return await self._opened(
            view, keys, await self._inner.get(keys.kept(key), minimum_revision=minimum_revision)
        )

    async def list(
        self,
        prefix: str,
        *,
        minimum_revision: int | None = None,
        exact_revision: int = 0,
        start_key: str = "",
        limit: int = 0,
        predicate: Predicate | None = None,
        hints: Hints = NO_HINTS,
    ) -> Page:
        """Many. What selectors look at is only known after conversion, so that a selected list is one page."""
        if not prefix.startswith(_ROOT):
            return await self._inner.list(
                prefix,
                minimum_revision=minimum_revision,
                exact_revision=exact_revision,
                start_key=start_key,
                limit=limit,
                predicate=predicate,
                hints=hints,
            )
        view, keys = self._view(prefix)
        page = await self._inner.list(
            keys.kept(prefix),
            minimum_revision=minimum_revision,
            exact_revision=exact_revision,
            start_key=keys.kept(start_key) if start_key else "",
            limit=limit if predicate is None else 0,
        )
        items = await view.opened(page.items, keys.shown)
        if predicate is not None:
            items = [one for one in items if predicate(one)]
        return Page(items, page.revision, keys.shown(page.next_key) if page.next_key else "", page.remaining)

    async def watch(self, prefix: str, *, after_revision: int, hints: Hints = NO_HINTS) -> Watch:
        """Changes after a revision."""
        if not prefix.startswith(_ROOT):
            return await self._inner.watch(prefix, after_revision=after_revision, hints=hints)
        view, keys = self._view(prefix)
        inner = await self._inner.watch(keys.kept(prefix), after_revision=after_revision)
        return _ConvertedWatch(inner, view, keys)

    async def create(self, key: str, obj: Object, *, ttl: int = 0) -> Stored:
        """Keep a new object."""
        if not key.startswith(_ROOT):
            return await self._inner.create(key, obj, ttl=ttl)
        view, keys = self._view(key)
        kept = await self._inner.create(keys.kept(key), await view.closed(obj), ttl=ttl)
        return await self._opened(view, keys, kept)

    async def update(self, key: str, modify: Modify, *, ttl: int = 0) -> Stored:
        """Change an object with a function."""
        if not key.startswith(_ROOT):
            return await self._inner.update(key, modify, ttl=ttl)
        while True:
            current = await self.get(key)
            new = modify(current.decode(), current.revision)
            if new is None or new == current.obj:
                return current
            try:
                return await self.replace(key, new, current.revision, ttl=ttl)
            except RevisionConflict:
                continue

    async def replace(self, key: str, obj: Object, revision: int, *, ttl: int = 0) -> Stored:
        """Keep a new state."""
        if not key.startswith(_ROOT):
            return await self._inner.replace(key, obj, revision, ttl=ttl)
        view, keys = self._view(key)
        kept = await self._inner.replace(keys.kept(key), await view.closed(obj), revision, ttl=ttl)
        return await self._opened(view, keys, kept)

    async def delete(self, key: str, check: Check = NO_CHECK) -> Stored:
        """Remove an object."""
        if not key.startswith(_ROOT):
            return await self._inner.delete(key, check)
        view, keys = self._view(key)
        return await self._opened(view, keys, await self._inner.delete(keys.kept(key), check))

    async def current_revision(self, prefix: str = "") -> int:
        """The newest revision, of what is kept below a prefix."""
        return await self._inner.current_revision(prefix)

    def is_outdated(self, key: str) -> bool:
        """Should the object be written again although nothing has changed?"""
        if not key.startswith(_ROOT):
            return self._inner.is_outdated(key)
        return self._inner.is_outdated(self._view(key)[1].kept(key))


@dataclass(frozen=True, slots=True)
class _Keys:
    """Two prefixes for the same objects."""

    shown_prefix: str
    kept_prefix: str

    def kept(self, key: str) -> str:
        return self.kept_prefix + key.removeprefix(self.shown_prefix)

    def shown(self, key: str) -> str:
        return self.shown_prefix + key.removeprefix(self.kept_prefix)


class _ConvertedWatch:
    """A watch whose objects are converted; changes that cannot be wait until they can, as in upstream."""

    def __init__(self, inner: Watch, view: View, keys: _Keys) -> None:
        self._inner, self._view, self._keys = inner, view, keys
        self._waiting: Sequence[Change] = ()
        self._woken = asyncio.Event()

    def __aiter__(self) -> _ConvertedWatch:
        return self

    async def __anext__(self) -> Sequence[Change]:
        """The next batch; an empty one where a failing webhook is to be asked again."""
        again = bool(self._waiting)
        batch = self._waiting = self._waiting or await self._inner.__anext__()
        objects = [one for change in batch for one in (change.current, change.previous) if one is not None]
        try:
            shown = iter(await self._view.opened(objects, self._keys.shown))
        except errors.StatusError as error:
            if not again:
                log.warning("a watch waits: %s", error)
            await self._pause()
            return ()
        self._waiting = ()
        return [
            Change(
                change.revision,
                self._keys.shown(change.key),
                next(shown) if change.current is not None else None,
                next(shown) if change.previous is not None else None,
            )
            for change in batch
        ]

    async def _pause(self) -> None:
        """Raises StopAsyncIteration when nobody wants the changes any more, or their definition has changed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS):
                await self._woken.wait()
        self._woken.clear()
        if self._inner.ended:
            raise StopAsyncIteration

    @property
    def revision(self) -> int:
        return self._waiting[0].revision - 1 if self._waiting else self._inner.revision

    def take(self) -> Sequence[Change]:
        """Nothing without waiting: the webhook must be asked."""
        return ()

    def hand_to(self, taker: Taker) -> None:
        """Nothing at once either."""

    @property
    def ended(self) -> bool:
        return self._inner.ended

    def wake(self) -> None:
        self._woken.set()
        self._inner.wake()

    def close(self) -> None:
        self._inner.close()
        self._woken.set()
