"""Pods that nobody else takes away."""

from __future__ import annotations

from controller_manager.controllers.cleanup.pod_gc import surplus
from kubarium.apimachinery.object import Object, name_of
from tests.unit.controller_manager.cluster import Cluster


def pod(name: str, node: str = "", **metadata: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": "Running"},
    }


async def test_pods_of_a_lost_node_go_after_a_while(cluster: Cluster) -> None:
    cluster.api.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "here"}})
    cluster.api.put(pod("stays", "here"))
    cluster.api.put(pod("lost", "gone"))
    cluster.api.put(pod("unbound", "", deletionTimestamp="2026-01-01T00:00:00Z"))
    await cluster.start("pod-garbage-collector-controller")
    await cluster.settle(25)
    assert [name_of(one) for one in cluster.pods()] == ["lost", "stays"]
    for _ in range(4):
        await cluster.settle(20)
    assert [name_of(one) for one in cluster.pods()] == ["stays"]


def test_only_finished_pods_beyond_the_threshold_are_surplus() -> None:
    pods = [
        {**pod(f"p{n}", creationTimestamp=f"2026-01-01T00:00:0{n}Z"), "status": {"phase": "Failed"}}
        for n in range(4)
    ]
    pods[3]["status"]["reason"] = "Evicted"
    assert [name_of(one) for one in surplus([*pods, pod("runs")], 2)] == ["p3", "p0"]
    assert surplus(pods, 0) == []
