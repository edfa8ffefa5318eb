from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.node import shutdown
from kubelet.node.shutdown import Period, ShutdownManager
from tests.unit.kubelet.making import make_container, make_pod

CRITICAL = 2 * 10**9


def pod(name: str, priority: int = 0, grace: int = 30) -> Object:
    return make_pod(
        make_container(), uid=name, name=name, priority=priority, terminationGracePeriodSeconds=grace
    )


@pytest.mark.parametrize(
    ("whole", "critical", "by_priority", "periods"),
    [
        (0, 0, {}, []),
        (30, 10, {}, [Period(0, 20), Period(CRITICAL, 10)]),
        (0, 0, {"1000": "5", "0": "60"}, [Period(0, 60), Period(1000, 5)]),
    ],
)
def test_periods(whole: float, critical: float, by_priority: dict[str, str], periods: list[Period]) -> None:
    assert shutdown.periods_of(whole, critical, by_priority) == periods


def test_who_ends_when() -> None:
    pods = [pod("a"), pod("b", 1000), pod("c", 999), pod("d", CRITICAL), pod("e", -5)]
    periods = [Period(0, 60), Period(1000, 5), Period(1500, 5)]
    found = shutdown.groups_of(pods, periods)
    shown = {period.priority: [one["metadata"]["name"] for one in members] for period, members in found}
    assert shown == {0: ["a", "c", "e"], 1000: ["b"], 1500: ["d"]}
    assert shutdown.grace_of(pod("a", grace=30), periods[1]) == 5
    assert shutdown.grace_of(pod("a", grace=3), periods[1]) == 3


class Announcer:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[bool] = asyncio.Queue()
        self.held = 0.0
        self.released = False

    async def hold(self, seconds: float) -> None:
        self.held = seconds

    async def announcements(self) -> AsyncIterator[bool]:
        while True:
            yield await self.queue.get()

    async def release(self) -> None:
        self.released = True


class Scene:
    def __init__(self, clock: FakeClock, folder: Path) -> None:
        self.clock, self.folder, self.announcer = clock, folder, Announcer()
        self.log: list[Any] = []
        self.ended: set[str] = set()
        self.manager = ShutdownManager(
            self.announcer,
            clock,
            periods=[Period(0, 20), Period(CRITICAL, 10)],
            root=folder,
            pods=lambda: [pod("slow", grace=60), pod("system", CRITICAL, grace=1)],
            end=self.end,
            has_ended=self.ended.__contains__,
            tell=lambda type, reason, message: self.log.append(message),
            changed=lambda: self.log.append(self.manager.complaint()),
        )
        self.task = asyncio.ensure_future(self.manager.run())

    def end(self, found: Object, reason: str, message: str, grace: int) -> None:
        self.log.append((found["metadata"]["name"], reason, grace))

    def state(self) -> Any:
        return orjson.loads((self.folder / "graceful_node_shutdown_state").read_bytes())


@pytest.fixture
async def scene(clock: FakeClock, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(clock, tmp_path)
    yield scene
    scene.task.cancel()
    await asyncio.gather(scene.task, return_exceptions=True)


async def test_the_machine_waits_for_pods(scene: Scene) -> None:
    scene.announcer.queue.put_nowait(True)
    await scene.clock.advance(1)
    assert scene.announcer.held == 30 and scene.manager.is_ending
    assert scene.log == [
        "Shutdown manager detected shutdown event",
        "node is shutting down",
        ("slow", "Terminated", 20),
    ]
    assert scene.state()["endTime"] is None
    for _ in range(21):  # the slow one has its twenty seconds, then the next group ends all the same
        await scene.clock.advance(1)
    assert scene.log[-1] == ("system", "Terminated", 1) and not scene.announcer.released
    scene.ended.add("system")
    await scene.clock.advance(1)
    assert scene.announcer.released and scene.state()["endTime"]


async def test_a_shutdown_is_called_off(scene: Scene) -> None:
    scene.announcer.queue.put_nowait(True)
    await scene.clock.advance(1)
    scene.announcer.queue.put_nowait(False)
    for _ in range(40):
        await scene.clock.advance(1)
    assert not scene.manager.is_ending and not scene.announcer.released
    assert scene.log[-2:] == ["Shutdown manager detected shutdown cancellation", ""]
    assert not any("system" in entry for entry in scene.log)
