"""Which pods make room for a critical one."""

from __future__ import annotations

import pytest

from kubarium.apimachinery.object import Object
from kubelet.resources.preemption import NobodyToPreempt, choose
from tests.unit.kubelet.making import make_container, make_pod


def pod(name: str, cpu: int = 0, *, guaranteed: bool = False, priority: int = 0) -> Object:
    asked = {"cpu": f"{cpu}m", **({"memory": "1Mi"} if guaranteed else {})}
    resources: Object = {"requests": asked} if cpu else {}
    if guaranteed:
        resources["limits"] = asked
    return make_pod(make_container(resources=resources), uid=name, name=name, priority=priority)


CRITICAL = pod("critical", 100, priority=2 * 10**9)


@pytest.mark.parametrize(
    ("others", "missing", "gone"),
    [
        ([pod("a", 100), pod("b", 300), pod("c", 200)], {"cpu": 200}, ["c"]),
        ([pod("a", 100), pod("b", 150), pod("c", 120)], {"cpu": 200}, ["b", "a"]),
        ([pod("dear", 200, guaranteed=True), pod("cheap", 200)], {"cpu": 200}, ["cheap"]),
        ([pod("dear", 200, guaranteed=True), pod("cheap", 100)], {"cpu": 250}, ["cheap", "dear"]),
        ([pod("dear", 200, guaranteed=True), pod("cheap", 100)], {"cpu": 200}, ["dear"]),
        ([pod("burstable", 100), pod("nothing")], {"pods": 1}, ["nothing"]),
    ],
)
def test_as_few_and_as_cheap_as_will_do(
    others: list[Object], missing: dict[str, int], gone: list[str]
) -> None:
    assert [one["metadata"]["name"] for one in choose(CRITICAL, others, missing)] == gone


def test_critical_pods_go_only_for_more_important_ones() -> None:
    other = pod("other", 200, priority=2 * 10**9)
    with pytest.raises(NobodyToPreempt) as nobody:
        choose(CRITICAL, [other], {"cpu": 200})
    assert str(nobody.value).endswith(
        "no set of running pods found to reclaim resources: [(res: cpu, q: 200), ]"
    )
    assert choose(pod("node-critical", priority=2 * 10**9 + 1000), [other], {"cpu": 200}) == [other]
