"""What waits, what wakes it, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import REGISTRY

from kubarium.component_base.clock import FakeClock
from scheduler.framework.interface import Action, ClusterEvent, EventHint
from scheduler.framework.nominator import Nominator
from scheduler.framework.pod_info import PodInfo
from scheduler.queue import SchedulingQueue
from tests.unit.scheduler.builders import make_pod

NODE_ADDED = ClusterEvent("Node", Action.ADD, "NodeAdd")
FIT, OTHER = "NodeResourcesFit", "Other"


@pytest.fixture
async def queue(clock: FakeClock) -> AsyncIterator[SchedulingQueue]:
    made = SchedulingQueue(
        clock,
        Nominator(),
        sort_key=lambda pod, since: (-pod.priority, since),
        pre_enqueue=lambda pod: None,
        hints={
            FIT: [EventHint("Node", Action.ADD, lambda pod, old, new: new != "useless")],
            OTHER: [EventHint("PersistentVolume", Action.ADD)],
        },
    )
    running = asyncio.ensure_future(made.run())
    yield made
    running.cancel()
    await asyncio.wait([running])


def pod(name: str, priority: int = 0) -> PodInfo:
    return PodInfo(make_pod(name, priority=priority))


async def test_priority_first_then_age(queue: SchedulingQueue, clock: FakeClock) -> None:
    for name, priority in (("old", 0), ("young", 0), ("vip", 9)):
        queue.add(pod(name, priority))
        await clock.advance(1)
    assert [(await queue.pop()).info.name for _ in range(3)] == ["vip", "old", "young"]


async def test_only_a_helpful_event_wakes(queue: SchedulingQueue, clock: FakeClock) -> None:
    queue.add(pod("web"))
    queue.put_back(await queue.pop(), {FIT})
    await clock.advance(60)
    queue.happened(ClusterEvent("PersistentVolume", Action.ADD))
    queue.happened(NODE_ADDED, None, "useless")  # type: ignore[arg-type]
    assert queue.size("unschedulable") == 1
    queue.happened(NODE_ADDED, None, {})
    assert queue.size("active") == 1


async def test_hints_are_timed_by_what_they_answer(queue: SchedulingQueue) -> None:
    def asked(hint: str) -> float:
        labels = {"plugin": FIT, "event": "NodeAdd", "hint": hint}
        name = "scheduler_queueing_hint_execution_duration_seconds_count"
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = asked("Queue"), asked("QueueSkip")
    queue.add(pod("web"))
    queue.put_back(await queue.pop(), {FIT})
    queue.happened(NODE_ADDED, None, "useless")  # type: ignore[arg-type]
    queue.happened(NODE_ADDED, None, "useless")  # type: ignore[arg-type]
    queue.happened(NODE_ADDED, None, {})
    assert (asked("Queue"), asked("QueueSkip")) == (before[0] + 1, before[1] + 2)


async def test_what_is_remembered_for_pods_under_way_is_counted(queue: SchedulingQueue) -> None:
    def inflight(event: str) -> float | None:
        return REGISTRY.get_sample_value("scheduler_inflight_events", {"event": event})

    queue.add(pod("web"))
    queued = await queue.pop()
    queue.happened(NODE_ADDED, None, {})
    queue.happened(NODE_ADDED, None, {})
    assert (inflight("PodPop"), inflight("NodeAdd")) == (1.0, 2.0)
    queue.done(queued.info.uid)
    assert (inflight("PodPop"), inflight("NodeAdd")) == (0.0, None)


async def test_what_happens_during_an_attempt_is_not_missed(queue: SchedulingQueue, clock: FakeClock) -> None:
    queue.add(pod("web"))
    queued = await queue.pop()
    queue.happened(NODE_ADDED, None, {})
    queue.put_back(queued, {FIT})
    assert queue.size("unschedulable") == 0
    queue.add(pod("next"))
    queued = await queue.pop()
    queue.put_back(queued, {FIT})  # nothing happened since: it lies down
    assert queue.size("unschedulable") == 1


async def test_errors_back_off_longer_each_time(queue: SchedulingQueue, clock: FakeClock) -> None:
    queue.add(pod("web"))
    for seconds in (1, 2, 4, 8, 10, 10):
        queue.put_back(await queue.pop(), set(), error=True)
        await clock.advance(seconds - 0.1)
        assert queue.size("backoff") == 1
        await clock.advance(0.2)
        assert queue.size("active") == 1


async def test_nobody_sleeps_for_ever(queue: SchedulingQueue, clock: FakeClock) -> None:
    queue.add(pod("web"))
    queue.put_back(await queue.pop(), {FIT})
    await clock.advance(299)
    assert queue.size("unschedulable") == 1
    await clock.advance(40)
    assert queue.size("active") == 1


async def test_pop_waits_for_a_pod(queue: SchedulingQueue, clock: FakeClock) -> None:
    popped = asyncio.ensure_future(queue.pop())
    await clock.advance(1)
    assert not popped.done()
    queue.add(pod("web"))
    assert (await popped).info.name == "web"


async def test_a_deleted_pod_is_not_popped(queue: SchedulingQueue, clock: FakeClock) -> None:
    gone: Any = pod("gone")
    queue.add(gone)
    queue.add(pod("here"))
    queue.remove(gone.uid)
    assert (await queue.pop()).info.name == "here"
