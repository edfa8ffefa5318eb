"""Important pods get room."""

from __future__ import annotations

import asyncio
from typing import Any

from kubarium.apimachinery.object import Object, ObjectKey
from tests.unit.scheduler.builders import make_node, make_pod


def running(name: str, node: str, priority: int, cpu: str, **more: Any) -> Object:
    pod = make_pod(name, cpu=cpu, nodeName=node, priority=priority, terminationGracePeriodSeconds=0, **more)
    pod["status"] = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
    return pod


async def test_the_least_important_pods_go(start: Any) -> None:
    objects = [
        make_node("a", cpu="2"),
        make_node("b", cpu="2"),
        running("a1", "a", 5, "1"),
        running("a2", "a", 1, "1"),
        running("b1", "b", 3, "2"),
    ]
    async with start(*objects) as cluster:
        cluster.api.put(make_pod("vip", cpu="1", priority=10))
        await cluster.until(lambda: cluster.node_of("vip"))
        assert cluster.node_of("vip") == "a"
        names = {pod["metadata"]["name"] for pod in cluster.api.objects("v1", "pods")}
        assert names == {"a1", "b1", "vip"}
        await cluster.until(lambda: cluster.events("Preempted"))


async def test_no_victims_no_preemption(start: Any) -> None:
    objects = [
        make_node("a", cpu="2"),
        make_node("b", cpu="2", taints=[{"key": "k", "effect": "NoSchedule"}]),
        running("a1", "a", 5, "2"),
        make_pod("web", cpu="1", priority=5),
    ]
    async with start(*objects) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["message"] == (
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s). "
            "no new claims to deallocate, preemption: 0/2 nodes are available: "
            "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
        )


async def test_a_protected_pod_is_spared(start: Any) -> None:
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "guard", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}},
        "status": {"disruptionsAllowed": 0},
    }
    objects = [
        make_node("a", cpu="1"),
        make_node("b", cpu="1"),
        running("db", "a", 0, "1", labels={"app": "db"}),
        running("web", "b", 4, "1"),
        budget,
    ]
    async with start(*objects) as cluster:
        cluster.api.put(make_pod("vip", cpu="1", priority=10))
        await cluster.until(lambda: cluster.node_of("vip"))
        assert cluster.node_of("vip") == "b"


async def test_it_is_not_tried_again_before_all_victims_are_told(start: Any) -> None:
    let_go, told = asyncio.Event(), []
    objects = [make_node("a", cpu="2"), running("a1", "a", 2, "1"), running("a2", "a", 1, "1")]
    async with start(*objects) as cluster:
        framework = cluster.app.profiles["default-scheduler"]
        preemption = framework.post_filter_plugins[-1].preemption
        delete = preemption._delete

        async def in_turn(pod: Any, victim: Any) -> None:
            told.append(victim.name)
            if len(told) == 2:
                await let_go.wait()
            await delete(pod, victim)

        preemption._delete = in_turn
        cluster.api.put(make_pod("vip", cpu="2", priority=10))
        await cluster.until(lambda: len(told) == 2 and cluster.app.queue.size("gated"))
        let_go.set()
        await cluster.until(lambda: cluster.node_of("vip"))
        results = [one.entry.node for one in cluster.app.journal.attempts(ObjectKey("default", "vip"))]
        assert results == ["", "a"]


async def test_who_could_not_be_deleted_is_asked_again(start: Any) -> None:
    from kubarium.apimachinery.errors import InternalError

    async with start(make_node("a", cpu="1"), running("low", "a", 0, "1")) as cluster:
        refusals = []

        def refuse(action: Any, body: Any) -> Any:
            if action.verb == "delete" and not refusals:
                refusals.append(action)
                return InternalError("no")
            return None

        cluster.api.refuse = refuse
        cluster.api.put(make_pod("vip", cpu="1", priority=10))
        await cluster.until(lambda: cluster.node_of("vip") == "a")
        assert refusals


async def test_never_means_never(start: Any) -> None:
    objects = [make_node("a", cpu="1"), running("low", "a", 0, "1")]
    async with start(*objects) as cluster:
        cluster.api.put(make_pod("meek", cpu="1", priority=10, preemptionPolicy="Never"))
        await cluster.until(lambda: cluster.condition("meek"))
        assert cluster.condition("meek")["message"] == (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "
            "preemption: not eligible due to preemptionPolicy=Never."
        )


async def test_a_promise_that_cannot_come_true_holds_nobody_back(start: Any) -> None:
    """The victim still leaves, but the node that it leaves has got a taint meanwhile."""
    leaving = running("a1", "a", 1, "1")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    told = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    leaving["status"]["conditions"] = [told]
    taint = {"key": "k", "effect": "NoSchedule"}
    objects = [
        make_node("a", cpu="1", taints=[taint]),
        make_node("b", cpu="1"),
        leaving,
        running("b1", "b", 1, "1"),
    ]
    async with start(*objects) as cluster:
        vip = make_pod("vip", cpu="1", priority=10)
        vip["status"] = {"nominatedNodeName": "a"}
        cluster.api.put(vip)
        await cluster.until(lambda: cluster.node_of("vip") == "b")
