from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.resources import thresholds
from kubelet.resources.eviction import EvictionManager, Policy
from kubelet.resources.thresholds import Observation
from kubelet.runtime.fake import FakeRuntime
from tests.unit.kubelet.making import make_container, make_pod


def pod(uid: str, priority: int = 0) -> Object:
    return make_pod(make_container(), uid=uid, name=uid, priority=priority, terminationGracePeriodSeconds=20)


class Silent:
    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None: ...


class Scene:
    """A manager, the machine that it sees, and what it did."""

    def __init__(self, clock: FakeClock, folder: Path, policy: Policy) -> None:
        self.left: dict[str, int] = {}
        self.failed: list[tuple[str, str, int | None]] = []
        self.freed: list[str] = []
        self.freeing: dict[str, int] = {}
        self.finished = True
        self.manager = EvictionManager(
            FakeRuntime(clock),
            Silent(),
            clock,
            policy=policy,
            signals=self,  # type: ignore[arg-type]
            node=dict,
            pods=lambda: [pod("a"), pod("b", priority=1)],
            directory=lambda uid: folder,
            logs=lambda pod: folder,
            processes=lambda pod: 1,
            free_containers=self.free_containers,
            free_images=self.free_images,
            fail=self.fail,
            has_finished=lambda uid: self.finished,
        )

    def look(self, image_root: str) -> dict[str, Observation]:
        return {signal: Observation(left, 100) for signal, left in self.left.items()}

    def has_own_image_disk(self, image_root: str) -> bool:
        return False

    async def free_containers(self) -> None:
        self.freed.append("containers")

    async def free_images(self) -> None:
        self.freed.append("images")
        self.left |= self.freeing

    def fail(self, evicted: Object, reason: str, message: str, grace: int | None) -> None:
        self.failed.append((evicted["metadata"]["name"], reason, grace))


@pytest.fixture
def make_scene(clock: FakeClock, tmp_path: Path) -> Any:
    return lambda policy: Scene(clock, tmp_path, policy)


async def test_a_look_under_pressure(clock: FakeClock, make_scene: Any) -> None:
    scene = make_scene(Policy(thresholds.read({"memory.available": "50"})))
    scene.left["memory.available"] = 10
    assert await scene.manager.look() == ["a"]
    assert scene.failed == [("a", "Evicted", 1)] and not scene.freed
    assert scene.manager.pressure()["MemoryPressure"]
    scene.left["memory.available"] = 60
    await clock.advance(200)
    assert await scene.manager.look() == []
    assert scene.manager.pressure()["MemoryPressure"], "the condition stays for five minutes"
    await clock.advance(200)
    assert not scene.manager.pressure()["MemoryPressure"]


async def test_the_disk_is_freed_before_a_pod_goes(make_scene: Any) -> None:
    scene = make_scene(Policy(thresholds.read({"nodefs.available": "50%"})))
    scene.left["nodefs.available"], scene.freeing = 10, {"nodefs.available": 60}
    assert await scene.manager.look() == []
    assert scene.freed == ["containers", "images"] and not scene.failed
    assert scene.manager.pressure()["DiskPressure"]
    scene.left["nodefs.available"], scene.freeing = 10, {}
    assert await scene.manager.look() == ["a"]


async def test_pods_together_may_not_use_what_is_reserved(make_scene: Any) -> None:
    scene = make_scene(Policy(thresholds.read({"memory.available": "50"})))
    scene.left = {"memory.available": 90, "allocatableMemory.available": 10}
    assert await scene.manager.look() == ["a"]


@pytest.mark.parametrize(("most", "grace"), [(0, 0), (10, 10), (30, 20), (-1, 20)])
async def test_a_soft_threshold_leaves_time_to_end(
    clock: FakeClock, make_scene: Any, most: int, grace: int
) -> None:
    soft = thresholds.read({}, {"pid.available": "50"}, {"pid.available": "30s"})
    scene = make_scene(Policy(soft, max_pod_grace=most))
    scene.left["pid.available"] = 10
    assert await scene.manager.look() == [] and scene.manager.pressure()["PIDPressure"]
    await clock.advance(30)
    assert await scene.manager.look() == ["a"] and scene.failed[0][2] == grace
