"""List, then watch for ever; 410 means list again.

What is guaranteed: the store passes through states that the API server was in, in order, and arrives at the newest one.
Steps between two lists may be missed, which is why nobody may depend on single events.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, resource_version_of
from kubarium.apimachinery.watch import BOOKMARK, DELETED
from kubarium.client.resource import ResourceClient
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

WATCH_SECONDS = 300  # shortest life of one watch; a random share is added so that not all reconnect at once


class Reflector:
    """Tells a receiver what the API server holds: `replace` with a whole list, then `change` and `remove`."""

    def __init__(
        self,
        resource: ResourceClient,
        clock: Clock,
        *,
        replace: Callable[[Sequence[Object]], None],
        change: Callable[[Object], None],
        remove: Callable[[Object], None],
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._resource = resource
        self._clock = clock
        self._replace, self._change, self._remove = replace, change, remove
        self._namespace = namespace
        self._label_selector, self._field_selector = label_selector, field_selector
        self._headers = headers
        self._revision = ""  # newest revision that the receiver has seen
        self._backoff = Backoff(initial=0.5, maximum=30.0, jitter=0.5)

    async def run(self) -> None:
        """Follow for ever."""
        failures = 0
        while True:
            try:
                await self._list()
                failures = 0
                await self._watch_for_ever()
            except errors.Expired as error:
                log.info("relist %s: %s", self._resource.plural, error)
                self._revision = ""
            except errors.StatusError as error:
                if error.code == 410 or "Too large resource version" in error.message:
                    self._revision = ""
                else:
                    log.warning("cannot list or watch %s: %s", self._resource.plural, error)
                failures += 1
                await self._clock.sleep(self._backoff.delay(failures - 1))
            except (ConnectionError, TimeoutError, OSError) as error:
                level = log.debug if failures else log.info
                level(
                    "lost the API server while listing %s: %s",
                    self._resource.plural,
                    error or type(error).__name__,
                )
                failures += 1
                await self._clock.sleep(min(self._backoff.delay(failures - 1), 5.0))

    async def _list(self) -> None:
        """Any cached state will do at first; after a break nothing older than what was seen."""
        found = await self._resource.list(
            self._namespace,
            resource_version=self._revision or "0",
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            headers=self._headers,
        )
        self._revision = resource_version_of(found)
        self._replace(found["items"])

    async def _watch_for_ever(self) -> None:
        """One watch after another, each from where the last one ended. Returns only by an exception."""
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                await self._watch_once()
            except (ConnectionError, TimeoutError, OSError) as error:
                log.debug("watch of %s broke: %s", self._resource.plural, error or type(error).__name__)
            failures = failures + 1 if self._clock.monotonic() - started < 1.0 else 0
            if failures:
                await self._clock.sleep(min(self._backoff.delay(failures - 1), 5.0))

    async def _watch_once(self) -> None:
        seconds = int(WATCH_SECONDS * (1.0 + random.random()))
        events = self._resource.watch(
            self._namespace,
            resource_version=self._revision,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            timeout_seconds=seconds,
            headers=self._headers,
        )
        async with contextlib.aclosing(events):
            async for event in events:
                if event.type == DELETED:
                    self._remove(event.obj)
                elif event.type != BOOKMARK:
                    self._change(event.obj)
                self._revision = resource_version_of(event.obj)
