"""Is there room? Each request takes a seat of its priority level, waits for one, or gets 429."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from apiserver.filters.metrics import terminated
from apiserver.filters.priority_levels import Place, PriorityLevels
from apiserver.filters.read_request_info import HEADERS, is_long_running
from apiserver.filters.retry_after import RetryAfter
from apiserver.filters.seats import Level, Ticket
from apiserver.request import CONTEXT, RequestContext
from kubarium.apimachinery import errors
from kubarium.component_base.metrics import Counts, Labels, Readings, Timings
from kubarium.component_base.serving import App, Receive, Scope, Send

_WHERE = ("flow_schema", "priority_level")
_BUCKETS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
_DISPATCHED = Counts(
    "apiserver_flowcontrol_dispatched_requests_total",
    "Number of requests executed by API Priority and Fairness subsystem",
    _WHERE,
)
_REJECTED = Counts(
    "apiserver_flowcontrol_rejected_requests_total",
    "Number of requests rejected by API Priority and Fairness subsystem",
    (*_WHERE, "reason"),
)
_WAITS = Timings(
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "Length of time a request spent waiting in its queue",
    ("execute", *_WHERE),
    _BUCKETS,
)
_SECONDS = Timings(
    "apiserver_flowcontrol_request_execution_seconds",
    "Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority "
    "and Fairness subsystem",
    (*_WHERE, "type"),
    _BUCKETS,
)
_EXECUTING = Readings(
    "apiserver_flowcontrol_current_executing_requests",
    "Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and "
    "Fairness subsystem",
    _WHERE,
)
_SEATS_USED = Readings(
    "apiserver_flowcontrol_current_executing_seats",
    "Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage "
    "otherwise) requests in the API Priority and Fairness subsystem",
    _WHERE,
)
_IN_QUEUE = Readings(
    "apiserver_flowcontrol_current_inqueue_requests",
    "Number of requests currently pending in queues of the API Priority and Fairness subsystem",
    _WHERE,
)
_SEATS_IN_QUEUE = Readings(
    "apiserver_flowcontrol_current_inqueue_seats",
    "Number of seats currently pending in queues of the API Priority and Fairness subsystem",
    _WHERE,
)
_SEATS_LEAST = Readings(
    "apiserver_flowcontrol_lower_limit_seats",
    "Configured lower bound on number of execution seats available to each priority level",
    ("priority_level",),
)
_SEATS_MOST = Readings(
    "apiserver_flowcontrol_upper_limit_seats",
    "Configured upper bound on number of execution seats available to each priority level",
    ("priority_level",),
)
_SEATS_NOMINAL = Readings(
    "apiserver_flowcontrol_nominal_limit_seats",
    "Nominal number of execution seats configured for each priority level",
    ("priority_level",),
)
_SEATS_LIMIT = Readings(
    "apiserver_flowcontrol_current_limit_seats",
    "current derived number of execution seats available to each priority level",
    ("priority_level",),
)


class Fairness:
    """Seats requests by the flow schemas; says in the headers which schema and level it was."""

    def __init__(self, app: App, levels: PriorityLevels) -> None:
        self._app = app
        self._levels = levels
        self._refusals: dict[str, RetryAfter] = {}  # by priority level
        _SEATS_NOMINAL.read = lambda: _of_each(levels, lambda level: level.range.nominal)
        _SEATS_LEAST.read = lambda: _of_each(levels, lambda level: level.range.least)
        _SEATS_MOST.read = lambda: _of_each(levels, lambda level: level.range.most)
        _SEATS_LIMIT.read = lambda: _of_each(levels, lambda level: level.seats)
        _EXECUTING.read = lambda: _summed(levels, lambda level: level.running, lambda ticket: 1)
        _SEATS_USED.read = lambda: _summed(levels, lambda level: level.running, lambda ticket: ticket.seats)
        _IN_QUEUE.read = lambda: _summed(levels, _waiting, lambda ticket: 1)
        _SEATS_IN_QUEUE.read = lambda: _summed(levels, _waiting, lambda ticket: ticket.seats)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        place = self._levels.place_of(context.user, context.info)
        if place is None:
            await self._app(scope, receive, send)
            return
        scope[HEADERS] += _headers(place)
        # Streams last: they would hold their seats for ever. A watch has one until it has told what is there.
        if is_long_running(context.info) and context.info.verb != "watch":
            await self._app(scope, receive, send)
            return
        level = place.level
        seats = self._levels.seats_for(context, level)
        ticket = Ticket(context, place.schema, place.distinguisher, seats)
        began = time.perf_counter()
        reason = await level.enter(ticket)
        where = (place.schema, level.name)
        if not level.exempt:
            waited = time.perf_counter() - began
            context.waited += waited
            _WAITS.observe(("false" if reason else "true", *where), waited)
        if reason:
            _REJECTED.add((*where, reason))
            terminated(context.info, errors.NoRoom.code)
            refusals = self._refusals.setdefault(level.name, RetryAfter())
            raise errors.NoRoom.after(refusals.refused(time.monotonic()))
        _DISPATCHED.add(where)
        seat = _Seat(level, ticket, (*where, "watch" if context.info.verb == "watch" else "regular"))
        context.begun = seat.leave
        try:
            await self._app(scope, receive, send)
        finally:
            seat.leave()


class _Seat:
    """What a request has at its level until it leaves it, once."""

    __slots__ = ("_began", "_labels", "_level", "_taken", "_ticket")

    def __init__(self, level: Level, ticket: Ticket, labels: Labels) -> None:
        self._level, self._ticket, self._labels = level, ticket, labels
        self._began = time.perf_counter()
        self._taken = True

    def leave(self) -> None:
        """Let others have it."""
        if self._taken:
            self._taken = False
            self._level.leave(self._ticket)
            _SECONDS.observe(self._labels, time.perf_counter() - self._began)


def _waiting(level: Level) -> Iterable[Ticket]:
    return (ticket for queue in level.queues for ticket in queue.waiting)


def _of_each(levels: PriorityLevels, number: Callable[[Level], int]) -> list[tuple[Labels, float]]:
    return [((name,), float(number(level))) for name, level in levels.levels.items()]


def _summed(
    levels: PriorityLevels, tickets: Callable[[Level], Iterable[Ticket]], weight: Callable[[Ticket], int]
) -> list[tuple[Labels, float]]:
    found: dict[Labels, float] = {}
    for name, level in levels.levels.items():
        for ticket in tickets(level):
            found[ticket.schema, name] = found.get((ticket.schema, name), 0.0) + weight(ticket)
    return [*found.items()]


def _headers(place: Place) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-kubernetes-pf-flowschema-uid", place.schema_uid.encode()),
        (b"x-kubernetes-pf-prioritylevel-uid", place.level.uid.encode()),
    ]
