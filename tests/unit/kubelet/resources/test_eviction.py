from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import FakeClock
from kubelet.resources.eviction import EvictionManager, Observation, over_limit, rank, refuses, thresholds_met
from kubelet.runtime.fake import FakeRuntime
from tests.unit.kubelet.making import make_container, make_pod

MIB = 1 << 20


def pod(uid: str, memory: str = "", priority: int = 0) -> Object:
    resources = {"requests": {"memory": memory}} if memory else {}
    return make_pod(make_container(resources=resources), uid=uid, name=uid, priority=priority)


def test_amounts_and_percentages() -> None:
    observed = {
        "memory.available": Observation(50 * MIB, 1000 * MIB),
        "nodefs.available": Observation(20, 100),
    }
    met = thresholds_met(
        observed, {"memory.available": "100Mi", "nodefs.available": "10%", "pid.available": "5%"}
    )
    assert [one.signal for one in met] == ["memory.available"]
    assert met[0].message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 51200Ki. "
    )


def test_those_who_use_more_than_they_asked_for_go_first() -> None:
    pods = [
        pod("modest", "100Mi"),
        pod("greedy"),
        pod("greedier"),
        pod("vip", priority=10),
        pod("sys", priority=2 * 10**9),
    ]
    usage = {
        "modest": 50 * MIB,
        "greedy": 100 * MIB,
        "greedier": 200 * MIB,
        "vip": 900 * MIB,
        "sys": 999 * MIB,
    }
    assert [one["metadata"]["name"] for one in rank(pods, usage, "memory")] == [
        "greedier",
        "greedy",
        "vip",
        "modest",
    ]


@pytest.mark.parametrize(
    ("wanted", "pressure", "refused"),
    [
        (pod("a"), {}, False),
        (pod("a"), {"MemoryPressure": True}, True),
        (pod("a", "1Mi"), {"MemoryPressure": True}, False),
        (pod("a", "1Mi"), {"MemoryPressure": True, "DiskPressure": True}, True),
        (pod("a", priority=2 * 10**9), {"DiskPressure": True}, False),
    ],
)
def test_new_pods_under_pressure(wanted: Object, pressure: Mapping[str, bool], refused: bool) -> None:
    assert bool(refuses(wanted, pressure)) is refused


def test_own_limits_of_local_disk() -> None:
    limited = make_container(resources={"limits": {"ephemeral-storage": "1Mi"}})
    wanted = make_pod(limited, volumes=[{"name": "v", "emptyDir": {"sizeLimit": "2Mi"}}])
    assert over_limit(wanted, {"v": MIB // 2}, {"main": MIB // 4}) == ""
    assert over_limit(wanted, {"v": 3 * MIB}, {}) == 'Usage of EmptyDir volume "v" exceeds the limit "2Mi". '
    assert over_limit(wanted, {}, {"main": 2 * MIB}) == (
        'Container main exceeded its local ephemeral storage limit "1Mi". '
    )


class Silent:
    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None: ...


async def test_a_look_under_pressure(clock: FakeClock, tmp_path: Path) -> None:
    left, failed, freed = [10], [], []

    async def free() -> None:
        freed.append(1)
        left[0] = 60

    def observe() -> dict[str, Any]:
        return {"memory.available": Observation(left[0], 100)}

    manager = EvictionManager(
        FakeRuntime(clock),
        Silent(),
        clock,
        thresholds={"memory.available": "50"},
        transition_seconds=300,
        observe=observe,
        pods=lambda: [pod("a"), pod("b", priority=1)],
        volumes=lambda uid: tmp_path,
        free_disk=free,
        fail=lambda evicted, message, condition: failed.append(
            (evicted["metadata"]["name"], condition["reason"])
        ),
    )
    await manager.look()
    assert failed == [("a", "TerminationByKubelet")] and manager.pressure()["MemoryPressure"] and not freed
    left[0] = 60
    await clock.advance(200)
    await manager.look()
    assert manager.pressure()["MemoryPressure"] and len(failed) == 1
    await clock.advance(200)
    assert not manager.pressure()["MemoryPressure"]
