"""Where audit events go: a file, a webhook, both; at once or in batches; cut if they are too large.

    AuditLog ─▶ Truncating ─▶ Batching ─▶ Webhook       each but the last may be missing
             └─▶ …                    ─▶ LogFile

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/#audit-backends
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, sleep_unless
from kubarium.component_base.metrics import Counts

log = logging.get(__name__)

ATTEMPTS = 5  # of a webhook to take a batch, whatever it says
WEBHOOK_SECONDS = 30.0  # for one attempt
FAREWELL = 5.0  # seconds for what is left when the server stops
TRUNCATED = "audit.k8s.io/truncated"
ERRORS = Counts(
    "apiserver_audit_error_total",
    "Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.",
    ("plugin",),
)


class Backend(Protocol):
    """Takes events."""

    async def process(self, events: Sequence[Object]) -> bool:
        """Keep events; says whether that worked."""
        ...

    async def run(self) -> None:
        """Whatever has to be done besides, for ever."""
        ...


class Sink(Protocol):
    """Takes lines."""

    def write(self, line: bytes, /) -> object:
        """Keep a line."""
        ...


def failed(plugin: str, count: int, why: object) -> bool:
    """Count and tell; always False."""
    ERRORS.add((plugin,), count)
    log.error("error in audit plugin %r affecting %d audit events: %s", plugin, count, why)
    return False


class LogFile:
    """One line for each event."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    async def process(self, events: Sequence[Object]) -> bool:
        try:
            for event in events:
                self._sink.write(orjson.dumps(event) + b"\n")
        except OSError as error:
            return failed("log", len(events), error)
        return True

    async def run(self) -> None:
        """Everything is written at once."""


class Webhook:
    """Posts an `EventList`, again if it must be."""

    def __init__(self, client: Client, path: str, first_pause: float, clock: Clock) -> None:
        self._client, self._path, self._clock = client, path or "/", clock
        self._backoff = Backoff(first_pause, factor=1.5, jitter=0.2)

    async def process(self, events: Sequence[Object]) -> bool:
        items = [{key: event[key] for key in event if key not in ("kind", "apiVersion")} for event in events]
        body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items}
        for attempt in range(ATTEMPTS):
            try:
                await self._client.request("POST", self._path, body=body, timeout=WEBHOOK_SECONDS)
                return True
            except (errors.StatusError, ConnectionError, TimeoutError) as error:
                if attempt == ATTEMPTS - 1:
                    return failed("webhook", len(events), error)
                log.warning("the audit webhook does not answer: %s", error)
            await self._clock.sleep(self._backoff.delay(attempt))
        return False

    async def run(self) -> None:
        """Everything is sent when it comes."""


@dataclass(frozen=True)
class Batches:
    """How events are gathered."""

    buffer: int = 10000  # events that may wait
    size: int = 400  # events of a batch
    wait: float = 30.0  # seconds until a batch goes that is not full
    rate: float = 10.0  # batches a second; 0: no limit
    burst: int = 15


class Batching:
    """Gathers events, so that no request waits for them."""

    def __init__(self, backend: Backend, batches: Batches, clock: Clock) -> None:
        self._backend, self._batches, self._clock = backend, batches, clock
        self._waiting: deque[Object] = deque()
        self._full = asyncio.Event()  # enough for a batch
        self._sending: set[asyncio.Task[bool]] = set()
        self._tokens, self._counted = float(batches.burst), clock.monotonic()

    async def process(self, events: Sequence[Object]) -> bool:
        room = self._batches.buffer - len(self._waiting)
        self._waiting.extend(events[:room])
        if len(self._waiting) >= self._batches.size:
            self._full.set()
        if room < len(events):
            return failed("buffered", len(events) - room, "audit buffer queue blocked")
        return True

    async def run(self) -> None:
        """Send batches; when the server stops, what is left."""
        try:
            while True:
                await self._gathered()
                if self._waiting:
                    await self._throttle()
                    self._send()
        finally:
            while self._waiting:
                self._send()
            if self._sending:
                _, late = await asyncio.wait(self._sending, timeout=FAREWELL)
                for task in late:
                    task.cancel()

    def _send(self) -> None:
        size = min(self._batches.size, len(self._waiting))
        batch = [self._waiting.popleft() for _ in range(size)]
        if len(self._waiting) < self._batches.size:
            self._full.clear()
        task = asyncio.get_running_loop().create_task(self._backend.process(batch), name="audit batch")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _gathered(self) -> None:
        """A batch is full, or its time is over; a batch of one has no time to wait."""
        if self._batches.size == 1 or self._batches.wait <= 0:
            await self._full.wait()
            return
        await sleep_unless(self._clock, self._batches.wait, self._full)

    async def _throttle(self) -> None:
        """Wait for a token of the bucket."""
        rate = self._batches.rate
        if not rate:
            return
        now = self._clock.monotonic()
        self._tokens = min(self._batches.burst, self._tokens + (now - self._counted) * rate) - 1
        self._counted = now
        if self._tokens < 0:
            await self._clock.sleep(-self._tokens / rate)


class Truncating:
    """Events that are too large lose their objects; batches that are too large are parted."""

    def __init__(self, backend: Backend, largest_event: int, largest_batch: int) -> None:
        self._backend, self._event, self._batch = backend, largest_event, largest_batch

    async def process(self, events: Sequence[Object]) -> bool:
        well, size = True, 0
        batch: list[Object] = []
        for event in events:
            fitting = truncated(event, self._event)
            if fitting is None:
                well = failed("truncate", 1, "event is too large even after truncating")
                continue
            if batch and size + fitting[1] > self._batch:
                well = await self._backend.process(batch) and well
                batch, size = [], 0
            batch.append(fitting[0])
            size += fitting[1]
        return (await self._backend.process(batch) if batch else True) and well

    async def run(self) -> None:
        await self._backend.run()


def truncated(event: Object, largest: int) -> tuple[Object, int] | None:
    """An event that fits, and its size; None if there is no way."""
    size = len(orjson.dumps(event))
    if size <= largest:
        return event, size
    event = {key: value for key, value in event.items() if key not in ("requestObject", "responseObject")}
    event["annotations"] = {**event.get("annotations", {}), TRUNCATED: "true"}
    size = len(orjson.dumps(event))
    return (event, size) if size <= largest else None
