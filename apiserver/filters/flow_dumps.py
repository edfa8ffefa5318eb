"""What the priority levels are doing, as tables: `/debug/api_priority_and_fairness/*`.

Source: https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#debug-endpoints
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from apiserver.filters.priority_levels import PriorityLevels
from apiserver.filters.seats import ESTIMATE, Level, Ticket
from kubarium.apimachinery.group_version import join

ROOT = "/debug/api_priority_and_fairness/"
DETAILS = "includeRequestDetails"
_PADDING, _LEAST = 1, 8

Query = Mapping[str, str]


def pages(levels: PriorityLevels) -> dict[str, Callable[[Query], str]]:
    """Path -> what makes the page."""
    return {
        ROOT + "dump_priority_levels": lambda query: dump_levels(levels),
        ROOT + "dump_queues": lambda query: dump_queues(levels),
        ROOT + "dump_requests": lambda query: dump_requests(levels, details=bool(query.get(DETAILS))),
    }


def dump_levels(levels: PriorityLevels) -> str:
    """A row for each level."""
    rows = [
        [
            "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
            "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
        ]
    ]  # fmt: skip
    for level in _sorted(levels):
        active = sum(1 for queue in level.queues if queue.waiting or queue.running)
        idle, tally = not level.waiting and not level.running, level.tally
        numbers = (
            level.waiting,
            len(level.running),
            tally.dispatched,
            tally.rejected,
            tally.timed_out,
            tally.cancelled,
        )
        rows.append([level.name, str(active), _flag(idle), _flag(level.quiescing), *map(str, numbers)])
    return _table(rows)


def dump_queues(levels: PriorityLevels) -> str:
    """A row for each queue."""
    rows = [
        [
            "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
            "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
        ]
    ]  # fmt: skip
    for level in _sorted(levels):
        for index, queue in enumerate(level.queues):
            numbers = (index, len(queue.waiting), queue.running, queue.seats)
            virtual = (queue.next_start, queue.wanted * ESTIMATE)
            start, work = (f"{seconds:.8f}ss" for seconds in virtual)
            seats = str(queue.wanted)
            rows.append([level.name, *map(str, numbers), start, seats, seats, work])
    return _table(rows)


def dump_requests(levels: PriorityLevels, details: bool = False) -> str:
    """A row for each request: those who wait, then those under way."""
    header = [
        "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
        "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
    ]  # fmt: skip
    if details:
        header += [
            "UserName",
            "Verb",
            "APIPath",
            "Namespace",
            "Name",
            "APIVersion",
            "Resource",
            "SubResource",
        ]
    rows = [header]
    for level in _sorted(levels):
        for queue in level.queues:
            rows += [_request(level, ticket, place, details) for place, ticket in enumerate(queue.waiting)]
        rows += [_request(level, ticket, -1, details) for ticket in level.running]
    return _table(rows)


def _request(level: Level, ticket: Ticket, place: int, details: bool) -> list[str]:
    started = _time(ticket.started) if ticket.started else ""
    row = [level.name, ticket.schema, str(ticket.queue), str(place), ticket.distinguisher, _time(ticket.arrived),
           str(ticket.seats), "0", "0s", started]  # fmt: skip
    if not details:
        return row
    info = ticket.context.info
    version = join(info.group, info.version)
    more = (info.verb, info.path, info.namespace, info.name, version, info.resource, info.subresource)
    return [*row, ticket.context.user.name, *more]


def _sorted(levels: PriorityLevels) -> Iterator[Level]:
    return iter(sorted(levels.levels.values(), key=lambda level: level.name))


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _time(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns divided by commas, each as wide as its widest cell."""
    widths = [max(_LEAST, *(len(row[at]) + 1 + _PADDING for row in rows)) for at in range(len(rows[0]) - 1)]
    lines = [
        "".join(f"{cell},".ljust(width) for cell, width in zip(row[:-1], widths, strict=True)) + row[-1]
        for row in rows
    ]
    return "\n".join(lines) + "\n"
