"""Seats are lent and borrowed, lists take several, and the dumps show it all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.filters import borrowing, flow_dumps
from apiserver.filters.borrowing import Demand, Range, Share
from apiserver.filters.fairness import Fairness
from apiserver.filters.priority_levels import PriorityLevels
from apiserver.filters.read_request_info import HEADERS
from apiserver.filters.seats import Level, Ticket, deal
from apiserver.request import CONTEXT, RequestContext, RequestInfo, User
from kubarium.component_base.clock import FakeClock
from kubarium.component_base.serving import Receive, Scope, Send

CLOCK = FakeClock()


def context(verb: str = "list", **query: list[str]) -> RequestContext:
    info = RequestInfo("/api/v1/pods", verb, True, "api", "", "v1", "", "pods")
    return RequestContext(info, User("ann"), CLOCK, query)


def ticket(seats: int = 1) -> Ticket:
    return Ticket(context(), "schema", "ann", seats)


def configuration(name: str, shares: int, lendable: int = 0, limit: int | None = None) -> dict[str, Any]:
    response = {"type": "Queue", "queuing": {"queues": 2, "handSize": 1, "queueLengthLimit": 5}}
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    if limit is not None:
        limited["borrowingLimitPercent"] = limit
    return {"metadata": {"name": name, "uid": name}, "spec": {"type": "Limited", "limited": limited}}


def test_bounds_follow_from_percentages() -> None:
    assert borrowing.range_of(40, 50, None, 600) == Range(40, 20, 600)
    assert borrowing.range_of(40, 0, 25, 600) == Range(40, 40, 50)


def test_demand_is_average_and_deviation_and_falls_slowly() -> None:
    demand = Demand(0.0)
    demand.note(10, 5.0)
    demand.close(10.0)
    assert (demand.highest, round(demand.smoothed, 6)) == (10, 10.0)
    demand.note(0, 10.0)
    demand.close(20.0)
    assert demand.smoothed == pytest.approx(9.77)


def test_allocation_is_proportional_within_bounds() -> None:
    assert borrowing.allocate(30, [Share(5, 10, 100), Share(5, 20, 100)]) == pytest.approx([10, 20])
    assert borrowing.allocate(30, [Share(5, 10, 12), Share(5, 10, 100)]) == pytest.approx([12, 18])
    assert borrowing.allocate(10, [Share(8, 8, 9), Share(8, 8, 9)]) == [8, 8]
    assert borrowing.allocate(99, [Share(1, 1, 9), Share(1, 1, 9)]) == [9, 9]


async def test_a_busy_level_borrows_from_an_idle_one() -> None:
    clock = FakeClock()
    levels = PriorityLevels(100, clock)
    levels.put_level(configuration("idle", 50, lendable=80))
    levels.put_level(configuration("busy", 50, limit=50))
    idle, busy = levels.levels["idle"], levels.levels["busy"]
    for _ in range(50):
        assert await busy.enter(ticket()) == ""
    more = asyncio.ensure_future(busy.enter(ticket()))
    await asyncio.sleep(0)
    assert busy.waiting == 1
    await clock.advance(borrowing.PERIOD)
    levels.adjust()
    assert (idle.seats, busy.seats) == (25, 75)
    assert await more == ""


def test_a_list_takes_seats_by_what_it_holds() -> None:
    levels = PriorityLevels(100, FakeClock(), weigh=lambda info: (400, 1000))
    levels.put_level(configuration("one", 1))
    level = levels.levels["one"]
    assert levels.seats_for(context(), level) == 4
    assert levels.seats_for(context(limit=["100"]), level) == 1
    assert levels.seats_for(context(verb="get"), level) == 1
    many = PriorityLevels(100, FakeClock(), weigh=lambda info: (400_000, 1000))
    many.put_level(configuration("one", 1))
    assert many.seats_for(context(), many.levels["one"]) == 10


async def test_whoever_needs_more_seats_than_there_are_runs_alone() -> None:
    level = Level("small")
    level.configure(configuration("small", 1), Range(2, 2, 2))
    large, small = ticket(5), ticket()
    assert await level.enter(large) == ""
    waiting = asyncio.ensure_future(level.enter(small))
    await asyncio.sleep(0)
    assert not waiting.done()
    level.leave(large)
    assert await waiting == ""
    level.leave(small)
    assert (level.in_use, level.waiting, level.tally.dispatched) == (0, 0, 2)


async def test_a_full_queue_refuses() -> None:
    level = Level("small")
    level.configure(configuration("small", 1), Range(1, 1, 1))
    level.queue_length = 1
    await level.enter(ticket())
    waiting = asyncio.ensure_future(level.enter(ticket()))
    await asyncio.sleep(0)
    assert await level.enter(ticket()) == "queue-full"
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (level.waiting, level.tally.rejected, level.tally.cancelled) == (0, 1, 1)


async def test_dumps() -> None:
    levels = PriorityLevels(2, FakeClock())
    levels.put_level(configuration("global-default", 1))
    level = levels.levels["global-default"]
    entering = [asyncio.ensure_future(level.enter(ticket())) for _ in range(3)]
    await asyncio.sleep(0)
    query = {"includeRequestDetails": "1"}
    shown = {path.rpartition("/")[2]: page(query) for path, page in flow_dumps.pages(levels).items()}
    assert shown["dump_priority_levels"].splitlines() == [
        "PriorityLevelName, ActiveQueues, IsIdle, IsQuiescing, WaitingRequests, ExecutingRequests, "
        "DispatchedRequests, RejectedRequests, TimedoutRequests, CancelledRequests",
        "global-default,    1,            false,  false,       1,               2,                 "
        "2,                  0,                0,                0",
    ]
    assert len(shown["dump_queues"].splitlines()) == 3
    requests = [[cell.strip() for cell in line.split(",")] for line in shown["dump_requests"].splitlines()]
    assert [row[3] for row in requests[1:]] == ["0", "-1", "-1"]
    assert requests[1][10:] == ["ann", "list", "/api/v1/pods", "", "", "v1", "pods", ""]
    entering[2].cancel()


async def test_flows_get_equal_shares_of_time_not_of_turns() -> None:
    """Who was served long waits until the others had as much."""
    clock, order = FakeClock(), list[str]()
    level = Level("one", clock.monotonic)
    level.configure(configuration("one", 1), Range(1, 1, 1))
    slow, quick = (
        next(f"{n}" for n in range(99) if deal(f"schema/{n}", 2, 1) == (queue,)) for queue in (0, 1)
    )

    async def work(flow: str, seconds: float) -> None:
        mine = Ticket(context(), "schema", flow)
        assert await level.enter(mine) == ""
        order.append("slow" if flow == slow else "quick")
        clock_time = clock.monotonic() + seconds
        while clock.monotonic() < clock_time:
            await clock.sleep(0.05)
        level.leave(mine)

    asked = [asyncio.ensure_future(work(slow, 1.0)) for _ in range(3)]
    await asyncio.sleep(0)
    asked += [asyncio.ensure_future(work(quick, 0.1)) for _ in range(3)]
    await asyncio.sleep(0)
    while not all(task.done() for task in asked):
        await clock.advance(0.05)
    assert order == ["slow", "quick", "quick", "quick", "slow", "slow"]
    assert (level.in_use, level.waiting) == (0, 0)


def test_a_watch_that_begins_with_a_list_is_as_much_work_as_one() -> None:
    levels = PriorityLevels(100, FakeClock(), weigh=lambda info: (400, 1000))
    levels.put_level(configuration("one", 1))
    level = levels.levels["one"]
    assert levels.seats_for(context("watch", sendInitialEvents=["true"]), level) == 4
    assert levels.seats_for(context("watch"), level) == 1


async def test_a_watch_has_a_seat_until_it_has_told_what_is_there() -> None:
    levels = PriorityLevels(10, FakeClock())
    levels.put_level(configuration("one", 1))
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    subject = {"kind": "Group", "group": {"name": "*"}}
    levels.put_schema({
        "metadata": {"name": "all", "uid": "u"},
        "spec": {"priorityLevelConfiguration": {"name": "one"}, "matchingPrecedence": 1,
                 "rules": [{"subjects": [subject], "resourceRules": [rule]}]},
    })  # fmt: skip
    asked, used = context("watch"), list[int]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        used.append(levels.levels["one"].in_use)
        asked.begun()
        used.append(levels.levels["one"].in_use)

    async def nothing(*_: Any) -> Any:
        return None

    await Fairness(app, levels)({CONTEXT: asked, HEADERS: []}, nothing, nothing)
    assert used == [1, 0]
    assert levels.levels["one"].in_use == 0
