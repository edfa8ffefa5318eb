"""Whatever comes and goes, the columns say what a fresh count would say."""

from __future__ import annotations

import random

import numpy as np

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from scheduler.app import SchedulerApp
from scheduler.cache import requests_differently
from scheduler.configuration import Configuration
from scheduler.framework.interface import CycleState
from scheduler.framework.pod_info import PodInfo
from scheduler.snapshot import WhatIf
from tests.unit.scheduler.builders import make_node, make_pod


class Churn:
    """Random changes of a small cluster."""

    def __init__(self, seed: int) -> None:
        self.app = SchedulerApp(FakeAPI().client(), Configuration(), FakeClock())
        self.random = random.Random(seed)
        self.names: set[str] = set()
        self.pods: dict[str, Object] = {}

    def step(self, number: int) -> None:
        cache, chance = self.app.cache, self.random.random()
        node = f"n{self.random.randrange(80)}"
        if chance < 0.2:
            self.names.add(node)
            image = {"names": [f"i{self.random.randrange(5)}"], "sizeBytes": 10**8}
            cache.put_node(make_node(node, labels={"zone": str(self.random.randrange(3))}, images=[image]))
        elif chance < 0.25:
            self.names.discard(node)
            cache.remove_node(node)
        elif chance < 0.65:
            pod = self.make_pod(number, nodeName=node)
            self.pods[pod["metadata"]["uid"]] = pod
            cache.put_pod(pod)
        elif self.pods:
            uid = self.random.choice(list(self.pods))
            pod = self.pods.pop(uid)
            if chance < 0.9:
                cache.remove_pod(pod)
            else:
                self.pods[uid] = pod | {"metadata": pod["metadata"] | {"labels": {"app": "changed"}}}
                cache.put_pod(self.pods[uid])

    def make_pod(self, number: int, **spec: object) -> Object:
        term = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "1"}}}
        preferred = [{"weight": 3, "podAffinityTerm": term}]
        affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
        labels = {"app": str(self.random.randrange(3))}
        return make_pod(f"p{number}", cpu="10m", memory="1Mi", labels=labels, affinity=affinity, **spec)

    def scores(self, pod: PodInfo) -> tuple[object, object]:
        nodes, framework = self.app.nodes, self.app.profiles["default-scheduler"]
        feasible = framework.find_nodes(CycleState(), pod, nodes).feasible
        if not feasible.any():
            return feasible, None
        totals, _ = framework.score(CycleState(), pod, nodes, feasible)
        return feasible, totals[feasible]


async def test_followed_values_are_what_a_fresh_count_gives() -> None:
    churn = Churn(1)
    nodes = churn.app.nodes
    pod = PodInfo(churn.make_pod(0))
    for number in range(1500):
        churn.step(number)
        if number % 10 == 0:
            followed = churn.scores(pod)
            nodes._followed.clear()
            nodes._cache.clear()
            nodes.counts._counters.clear()
            fresh = churn.scores(pod)
            for one, other in zip(followed, fresh, strict=True):
                np.testing.assert_array_equal(one, other)


async def test_when_all_are_gone_nothing_is_left() -> None:
    churn = Churn(2)
    nodes, cache = churn.app.nodes, churn.app.cache
    for number in range(2000):
        churn.step(number)
        if number % 50 == 0:
            churn.scores(PodInfo(churn.make_pod(number)))
    before = nodes.resources["cpu"].requested.copy()
    with WhatIf(nodes) as what_if:
        for info in [info for info in nodes.infos if info is not None]:
            for pod in list(info.pods.values()):
                what_if.remove(pod)
        assert not nodes.pod_count.any()
    np.testing.assert_array_equal(nodes.resources["cpu"].requested, before)
    for obj in churn.pods.values():
        cache.remove_pod(obj)
    assert cache.pod_count == 0
    assert not nodes.pod_count.any() and not nodes.resources["cpu"].requested.any()
    assert not nodes.counts.has_terms and not nodes.counts._kinds
    assert all(not counter.values.any() for counter in nodes.counts._counters.values())
    for name in churn.names:
        cache.remove_node(name)
    assert nodes.count == 0 and not nodes.images and not nodes.valid.any()


def test_another_label_moves_a_pod_between_kinds_and_nothing_else() -> None:
    """Binding adds the labels of the node's zone: each pod that was scheduled comes back like this."""
    app = SchedulerApp(FakeAPI().client(), Configuration(), FakeClock())
    app.cache.put_node(make_node("n1"))
    pod = make_pod("p", cpu="1", labels={"app": "a"}, nodeName="n1")
    assumed = PodInfo(pod)
    app.cache.assume(assumed, "n1")
    stamp, changes = int(app.nodes.stamps[0]), len(app.nodes._changes)
    zoned = pod | {"metadata": pod["metadata"] | {"labels": {"app": "a", "zone": "z"}}}
    info = app.cache.put_pod(zoned)
    assert (info.pod, info.node, assumed.node) == (zoned, 0, -1) and not app.cache.is_assumed(info.uid)
    assert app.nodes.infos[0] is not None and app.nodes.infos[0].pods == {info.uid: info}
    assert [kind.labels for kind in app.nodes.counts._kinds] == [(("app", "a"), ("zone", "z"))]
    assert app.nodes.stamps[0] > stamp and len(app.nodes._changes) == changes
    app.cache.remove_pod(zoned)
    assert not app.nodes.pod_count.any() and not app.nodes.counts._kinds


def test_what_a_resize_gives_up_is_free_when_the_kubelet_says_so() -> None:
    def pod(wanted: str, promised: str, generation: int) -> dict:
        statuses = [{"name": "c", "allocatedResources": {"cpu": promised}}]
        return {
            "metadata": {"generation": generation},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": wanted}}}]},
            "status": {"containerStatuses": statuses},
        }

    before, asked, done = pod("2", "2", 1), pod("1", "2", 2), pod("1", "1", 2)
    assert requests_differently(before, asked) and requests_differently(asked, done)
    assert not requests_differently(done, done)
