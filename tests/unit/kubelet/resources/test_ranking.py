from __future__ import annotations

from collections.abc import Mapping

import pytest

from kubarium.apimachinery.object import Object
from kubelet.resources.ranking import Consumption, complaint, rank, refuses
from tests.unit.kubelet.making import make_container, make_pod

MIB = 1 << 20


def pod(uid: str, memory: str = "", priority: int = 0) -> Object:
    resources = {"requests": {"memory": memory}} if memory else {}
    return make_pod(make_container(resources=resources), uid=uid, name=uid, priority=priority)


def names(pods: list[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in pods]


def test_those_who_use_more_than_they_asked_for_go_first() -> None:
    pods = [
        pod("modest", "100Mi"),
        pod("greedy"),
        pod("greedier"),
        pod("vip", priority=10),
        pod("sys", priority=2 * 10**9),
    ]
    used = {"modest": 50, "greedy": 100, "greedier": 200, "vip": 900, "sys": 999}
    usage = {name: Consumption({"main": mib * MIB}) for name, mib in used.items()}
    assert names(rank(pods, usage, "memory")) == ["greedier", "greedy", "vip", "modest"]


def test_process_ids_are_not_asked_for() -> None:
    usage = {"few": Consumption(besides=2), "many": Consumption(besides=900), "vip": Consumption(besides=999)}
    pods = [pod("few"), pod("vip", priority=10), pod("many")]
    assert names(rank(pods, usage, "pids")) == ["many", "few", "vip"]


def test_what_an_evicted_pod_is_told() -> None:
    used = Consumption({"main": 3 * MIB})
    assert complaint(pod("a", "1Mi"), used, "memory") == (
        "Container main was using 3Mi, request is 1Mi, has larger consumption of memory. "
    )
    assert complaint(pod("a"), used, "memory").startswith("Container main was using 3Mi, request is 0, ")
    assert complaint(pod("a", "4Mi"), used, "memory") == ""


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
