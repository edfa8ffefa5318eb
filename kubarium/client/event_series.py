"""Tell what was done with an object: Events of `events.k8s.io`, as scheduler and kube-proxy write them.

The same action for the same reason on the same state of an object begins a series, whatever its words: the second time
is written at once, the further ones when nothing has come for six minutes, or every half hour. All this is as
upstream's recorder does it. The other programs tell of events in the older way, with `events.py`.
"""

from __future__ import annotations

import itertools
import socket
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from kubarium.apimachinery import errors, time
from kubarium.apimachinery.object import Object
from kubarium.client.event_outbox import Outbox, reference_to
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

FINISH = 360.0  # seconds without news that end a series
REFRESH = 1800.0  # seconds after which a series that goes on is written
LONGEST = 1024  # characters of a note
REMEMBER = 4096  # events that may become series


class _Identity(NamedTuple):
    type: str
    reason: str
    action: str
    regarding: tuple[tuple[str, str], ...]
    related: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Told:
    """An event, and what has become of it since."""

    identity: _Identity
    name: str
    note: str
    moment: datetime
    last: datetime
    written: datetime
    count: int = 1


class SeriesRecorder:
    """Fire and forget: `event()` never waits and never fails; `run()` sends, `tidy()` ends series."""

    def __init__(self, client: Client, controller: str, clock: Clock) -> None:
        self._events = client.resource("events.k8s.io/v1", "events")
        self._controller, self._clock = controller, clock
        self._instance = f"{controller}-{socket.gethostname()}"
        self._known: OrderedDict[_Identity, _Told] = OrderedDict()
        self._serial = itertools.count()
        self._outbox = Outbox(self._send, clock)

    def event(
        self,
        regarding: Object,
        type: str,
        reason: str,
        action: str,
        note: str,
        related: Object | None = None,
    ) -> None:
        """Say what was done (`action`) with an object and why. `type` is Normal or Warning."""
        reference = reference_to(regarding)
        other = reference_to(related) if related is not None else {}
        identity = _Identity(type, reason, action, tuple(reference.items()), tuple(other.items()))
        now = self._clock.now()
        told = self._known.get(identity)
        if told is None or now - told.last > timedelta(seconds=FINISH):
            # The clock tells microseconds; the counter keeps two events of one moment apart.
            stamp = int(now.timestamp() * 1e6) * 1000 + next(self._serial) % 1000
            told = _Told(identity, f"{reference['name']}.{stamp:x}", note[:LONGEST], now, now, now)
        else:
            told.count += 1
            told.last = now
        self._known[identity] = told
        if len(self._known) > REMEMBER:
            self._known.popitem(last=False)
        if told.count <= 2:
            self._put(told)

    async def run(self) -> None:
        """Send until cancelled."""
        await self._outbox.run()

    async def flush(self) -> None:
        """Wait until everything said so far has been sent."""
        await self._outbox.flush()

    async def tidy(self) -> None:
        """Write what has become of series, and forget what is over, for ever."""
        while True:
            await self._clock.sleep(FINISH)
            now = self._clock.now()
            for identity, told in [*self._known.items()]:
                over = now - told.last >= timedelta(seconds=FINISH)
                if over:
                    del self._known[identity]
                if told.count > 2 and (over or now - told.written >= timedelta(seconds=REFRESH)):
                    self._put(told)

    def _put(self, told: _Told) -> None:
        told.written = told.last
        self._outbox.put(told, f"{told.identity.reason} of {told.name}")

    async def _send(self, told: _Told) -> None:
        namespace = dict(told.identity.regarding).get("namespace") or "default"
        if told.count == 1:
            await self._events.create(self._event(told, namespace))
            return
        try:
            await self._events.patch(told.name, {"series": _series(told)}, namespace)
        except errors.NotFound:  # it was never written, or has expired
            await self._events.create(self._event(told, namespace))

    def _event(self, told: _Told, namespace: str) -> Object:
        identity = told.identity
        event: Object = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": told.name, "namespace": namespace},
            "eventTime": time.format_micro_time(told.moment),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "action": identity.action,
            "reason": identity.reason,
            "regarding": dict(identity.regarding),
            "note": told.note,
            "type": identity.type,
        }
        if identity.related:
            event["related"] = dict(identity.related)
        if told.count > 1:
            event["series"] = _series(told)
        return event


def _series(told: _Told) -> Object:
    return {"count": told.count, "lastObservedTime": time.format_micro_time(told.last)}
