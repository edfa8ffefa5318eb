"""Counts and times every request, in the metric names of upstream."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext, RequestInfo
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App, Receive, Scope, Send

_PLACE = ("verb", "group", "version", "resource", "subresource", "scope", "component")
_REQUESTS = Counter(
    "apiserver_request_total",
    "Counter of apiserver requests broken out for each verb, group, version, resource, scope, component and HTTP code.",
    (*_PLACE, "code"),
)
_DURATIONS = Histogram(
    "apiserver_request_duration_seconds",
    "Response latency distribution in seconds for each verb, group, version, resource, subresource and scope.",
    _PLACE,
    buckets=(
        0.005,
        0.025,
        0.05,
        0.1,
        0.2,
        0.4,
        0.6,
        0.8,
        1.0,
        1.25,
        1.5,
        2,
        3,
        4,
        5,
        6,
        8,
        10,
        15,
        20,
        30,
        45,
        60,
    ),
)
_IN_FLIGHT = Gauge(
    "apiserver_current_inflight_requests",
    "Currently used inflight request limit of this apiserver per request kind.",
    ("request_kind",),
)
_LONG_RUNNING = Gauge(
    "apiserver_longrunning_requests", "Gauge of all active long-running apiserver requests.", _PLACE
)
_VERBS = {
    "create": "POST",
    "update": "PUT",
    "delete": "DELETE",
    "deletecollection": "DELETE",
    "patch": "PATCH",
}


class Metrics:
    """Looks at what comes back. The children of each metric are found once per place."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._durations: dict[tuple[str, ...], Any] = {}
        self._requests: dict[tuple[str, ...], Any] = {}
        self._reading = _IN_FLIGHT.labels("readOnly")
        self._writing = _IN_FLIGHT.labels("mutating")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext | None = scope.get(CONTEXT)
        if context is None or not context.info.is_resource:
            await self._app(scope, receive, send)
            return
        place = place_of(context.info)
        long = is_long_running(context.info)
        active = (
            _LONG_RUNNING.labels(*place)
            if long
            else self._writing
            if place[0] in _VERBS.values()
            else self._reading
        )
        code = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal code
            if not code:
                code = message.get("status") or 0
            await send(message)

        began = self._clock.monotonic()
        active.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            active.dec()
            self._note(place, str(code or 101), 0.0 if long else self._clock.monotonic() - began)

    def _note(self, place: tuple[str, ...], code: str, seconds: float) -> None:
        counter = self._requests.get((*place, code))
        if counter is None:
            counter = self._requests[(*place, code)] = _REQUESTS.labels(*place, code)
        counter.inc()
        if seconds:
            histogram = self._durations.get(place)
            if histogram is None:
                histogram = self._durations[place] = _DURATIONS.labels(*place)
            histogram.observe(seconds)


def place_of(info: RequestInfo) -> tuple[str, ...]:
    """The labels of a request."""
    verb = _VERBS.get(info.verb) or info.verb.upper()
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    return verb, info.group, info.version, info.resource, info.subresource, scope, "apiserver"
