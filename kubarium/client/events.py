"""Tell users what happened to an object: Events, aggregated and sent in the background.

The same thing said again becomes a higher `count` of the first Event. Of things that differ only in their words nine
are told; from the tenth on they share one Event that has the newest words, until there are none for ten minutes. When
an object causes too many, the rest is dropped: 25 at once per object, then one every five minutes. All this is as
upstream's recorder does it; what scheduler and kube-proxy tell is in `event_series.py`.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of
from kubarium.client.event_outbox import Outbox, reference_to
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock, RealClock

BURST = 25  # events of one object at once
REFILL = 300.0  # seconds until an object may cause one more
REMEMBER = 4096  # distinct events whose count can still grow
SIMILAR = 10  # events that differ only in their words; so many and more are told together
SIMILAR_SECONDS = 600.0
COMBINED = "(combined from similar events): "
LONGEST = 1024  # characters of a message


class _Sort(NamedTuple):
    uid: str
    name: str
    namespace: str
    type: str
    reason: str


class _Identity(NamedTuple):
    """Of an event that is counted up; those that are told together have neither words nor a field."""

    sort: _Sort
    field: str = ""
    message: str = ""


class _Said(NamedTuple):
    identity: _Identity
    message: str
    reference: Object
    moment: datetime


class _Kept(NamedTuple):
    """What it takes to count an event up."""

    name: str
    namespace: str
    message: str
    times: int


@dataclass(slots=True)
class _Similar:
    messages: set[str]
    last: float


class EventRecorder:
    """Fire and forget: `event()` never waits and never fails; `run()` sends."""

    def __init__(
        self, client: Client, component: str, instance: str = "", clock: Clock | None = None
    ) -> None:
        self._events = client.resource("v1", "events")
        self._component, self._instance = component, instance
        self._clock = clock or RealClock()
        self._known: OrderedDict[_Identity, _Kept] = OrderedDict()
        self._similar: OrderedDict[_Sort, _Similar] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._serial = itertools.count()
        self._outbox = Outbox(self._send, self._clock)

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Say something about an object. `type` is Normal or Warning; `field_path` names a part of it (a container)."""
        sort = _Sort(uid_of(obj), name_of(obj), namespace_of(obj), type, reason)
        if self._has_many_similar(sort, message):
            identity, message = _Identity(sort), COMBINED + message
        else:
            identity = _Identity(sort, field_path, message)
        if not self._allowed(obj):
            return
        said = _Said(identity, message[:LONGEST], reference_to(obj, field_path), self._clock.now())
        self._outbox.put(said, f"{reason} about {name_of(obj)}")

    def _has_many_similar(self, sort: _Sort, message: str) -> bool:
        """Note the words, and say whether there have been too many different ones lately."""
        now = self._clock.monotonic()
        known = self._similar.pop(sort, None)
        if known is None or now - known.last > SIMILAR_SECONDS:
            known = _Similar(set(), now)
        known.messages.add(message)
        known.last = now
        self._similar[sort] = known
        if len(self._similar) > REMEMBER:
            self._similar.popitem(last=False)
        if len(known.messages) < SIMILAR:
            return False
        known.messages.pop()  # any: it only matters that there are many
        return True

    async def run(self) -> None:
        """Send until cancelled."""
        await self._outbox.run()

    async def flush(self) -> None:
        """Wait until everything said so far has been sent."""
        await self._outbox.flush()

    async def _send(self, said: _Said) -> None:
        known = self._known.pop(said.identity, None)
        if known is not None:
            change: Object = {"count": known.times + 1, "lastTimestamp": time.format_time(said.moment)}
            if known.message != said.message:
                change["message"] = said.message
            try:
                event = await self._events.patch(known.name, change, known.namespace)
            except errors.NotFound:
                event = await self._events.create(self._new_event(said))  # it has expired
        else:
            event = await self._events.create(self._new_event(said))
        self._known[said.identity] = _Kept(name_of(event), namespace_of(event), said.message, event["count"])
        if len(self._known) > REMEMBER:
            self._known.popitem(last=False)

    def _new_event(self, said: _Said) -> Object:
        sort, reference, moment = said.identity.sort, said.reference, said.moment
        # The clock tells microseconds; the counter keeps two events of one moment apart.
        stamp = format(int(moment.timestamp() * 1e6) * 1000 + next(self._serial) % 1000, "x")
        namespace = sort.namespace or "default"
        source = {"component": self._component}
        if self._instance:
            source["host"] = self._instance
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{sort.name}.{stamp}", "namespace": namespace},
            "involvedObject": reference,
            "reason": sort.reason,
            "message": said.message,
            "source": source,
            "firstTimestamp": time.format_time(moment),
            "lastTimestamp": time.format_time(moment),
            "count": 1,
            "type": sort.type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._instance,
        }

    def _allowed(self, obj: Object) -> bool:
        now = self._clock.monotonic()
        owner = uid_of(obj) or f"{namespace_of(obj)}/{name_of(obj)}"
        tokens, since = self._tokens.pop(owner, (float(BURST), now))
        tokens = min(float(BURST), tokens + (now - since) / REFILL)
        self._tokens[owner] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        if len(self._tokens) > REMEMBER:
            self._tokens.popitem(last=False)
        return tokens >= 1.0
