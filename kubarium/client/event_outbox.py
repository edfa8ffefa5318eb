"""What recorders of events share: a queue whose contents are sent in the background, and references to objects.

An API server that is away is waited for: an event is tried twelve times in two minutes, while the next ones wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of, resource_version_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

QUEUE = 1000  # events not yet sent; more are dropped
TRIES = 12
RETRY = 10.0  # seconds

T = TypeVar("T")


class Outbox(Generic[T]):
    """Fire and forget: `put()` never waits and never fails; `run()` sends."""

    def __init__(self, send: Callable[[T], Awaitable[None]], clock: Clock) -> None:
        self._send, self._clock = send, clock
        self._waiting: asyncio.Queue[tuple[T, str]] = asyncio.Queue(maxsize=QUEUE)

    def put(self, said: T, title: str) -> None:
        """Have something sent; the title is for the log."""
        try:
            self._waiting.put_nowait((said, title))
        except asyncio.QueueFull:
            log.debug("event %s dropped: too many are waiting", title)

    async def run(self) -> None:
        """Send until cancelled. May run several times at once."""
        while True:
            said, title = await self._waiting.get()
            try:
                await self._deliver(said)
            except (errors.StatusError, OSError) as error:
                log.debug("event %s not recorded: %s", title, error)
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait until everything has been sent."""
        await self._waiting.join()

    async def _deliver(self, said: T) -> None:
        for _ in range(TRIES - 1):
            try:
                return await self._send(said)
            except OSError:
                await self._clock.sleep(RETRY * random.uniform(0.1, 1.0))
        await self._send(said)


def reference_to(obj: Object, field_path: str = "") -> Object:
    """An `ObjectReference`."""
    reference = {
        "kind": obj.get("kind"),
        "namespace": namespace_of(obj),
        "name": name_of(obj),
        "uid": uid_of(obj),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": resource_version_of(obj),
        "fieldPath": field_path,
    }
    return {key: value for key, value in reference.items() if value}
