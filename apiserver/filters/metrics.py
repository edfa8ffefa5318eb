"""Counts and times every request, in the metric names of upstream."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, LOOPBACK, RequestContext, RequestInfo
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Counts, Labels, Readings, Timings
from kubarium.component_base.serving import App, Receive, Scope, Send

_PLACE = ("verb", "group", "version", "resource", "subresource", "scope", "component")
BUCKETS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip
_REQUESTS = Counts(
    "apiserver_request_total",
    "Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, "
    "component, and HTTP response code.",
    (*_PLACE, "dry_run", "system_client", "code"),
)
_DURATIONS = Timings(
    "apiserver_request_duration_seconds",
    "Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, "
    "scope and component.",
    (*_PLACE, "dry_run"),
    BUCKETS,
)
_OWN_DURATIONS = Timings(
    "apiserver_request_sli_duration_seconds",
    "Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds "
    "for each verb, group, version, resource, subresource, scope and component.",
    _PLACE,
    BUCKETS[2:],
)
_TERMINATIONS = Counts(
    "apiserver_request_terminations_total",
    "Number of requests which apiserver terminated in self-defense.",
    (*_PLACE, "code"),
)
_SIZES = Timings(
    "apiserver_response_sizes",
    "Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.",
    _PLACE,
    (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9),
)
_DEPRECATED: set[Labels] = set()
Readings(
    "apiserver_requested_deprecated_apis",
    "Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and "
    "removed_release.",
    ("group", "version", "resource", "subresource", "removed_release"),
    lambda: [(labels, 1.0) for labels in _DEPRECATED],
)
_ACTIVE: dict[str, int] = {"mutating": 0, "readOnly": 0}
Readings(
    "apiserver_current_inflight_requests",
    "Maximal number of currently used inflight request limit of this apiserver per request kind in last second.",
    ("request_kind",),
    lambda: [((kind,), float(count)) for kind, count in _ACTIVE.items()],
)
_LONG_RUNNING: dict[Labels, int] = {}
Readings(
    "apiserver_longrunning_requests",
    "Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and "
    "component. Not all requests are tracked this way.",
    _PLACE,
    lambda: [(place, float(count)) for place, count in _LONG_RUNNING.items()],
)
_VERBS = {
    "create": "POST",
    "update": "PUT",
    "delete": "DELETE",
    "deletecollection": "DELETE",
    "patch": "PATCH",
}
_CHANGING = frozenset(_VERBS.values())
_READING = frozenset({"GET", "LIST"})
_SYSTEM_CLIENTS = frozenset({LOOPBACK.name, "system:kube-controller-manager", "system:kube-scheduler"})


class Metrics:
    """Looks at what comes back."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext | None = scope.get(CONTEXT)
        if context is None or not context.info.is_resource:
            await self._app(scope, receive, send)
            return
        place = place_of(context.info)
        code = size = 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal code, size
            if not code:
                code = message.get("status") or 0
            else:
                size += len(message.get("body") or b"")
            await send(message)

        if is_long_running(context.info):
            _LONG_RUNNING[place] = _LONG_RUNNING.get(place, 0) + 1
            try:
                await self._app(scope, receive, noting)
            finally:
                _LONG_RUNNING[place] -= 1
                self._count(context, place, code)
            return
        kind = "mutating" if place[0] in _CHANGING else "readOnly"
        began = self._clock.monotonic()
        _ACTIVE[kind] += 1
        try:
            await self._app(scope, receive, noting)
        finally:
            _ACTIVE[kind] -= 1
            self._count(context, place, code)
            dry_run = "All" if context.dry_run else ""
            seconds = self._clock.monotonic() - began
            _DURATIONS.observe((*place, dry_run), seconds)
            _OWN_DURATIONS.observe(place, seconds - context.waited)
            if place[0] in _READING:
                _SIZES.observe(place, size)

    def _count(self, context: RequestContext, place: Labels, code: int) -> None:
        info, name = context.info, context.user.name
        if context.deprecated:
            _DEPRECATED.add((info.group, info.version, info.resource, info.subresource, ""))
        _REQUESTS.add(
            (
                *place,
                "All" if context.dry_run else "",
                name if name in _SYSTEM_CLIENTS else "",
                str(code or 101),
            )
        )


def terminated(info: RequestInfo, code: int) -> None:
    """Count a request that is ended because there is too much to do or it takes too long."""
    _TERMINATIONS.add((*place_of(info), str(code)))


def place_of(info: RequestInfo) -> Labels:
    """The labels of a request."""
    verb = _VERBS.get(info.verb) or info.verb.upper()
    scope = "resource" if info.name else "namespace" if info.namespace else "cluster"
    return verb, info.group, info.version, info.resource, info.subresource, scope, "apiserver"
