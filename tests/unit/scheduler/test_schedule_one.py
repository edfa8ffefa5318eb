"""Pods get nodes, or are told why not."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.scheduler.builders import make_node, make_pod


async def test_a_pod_is_bound_to_the_node_with_room(start: Any) -> None:
    async with start(
        make_node("small", cpu="1"), make_node("large", cpu="8"), make_pod("web", cpu="2")
    ) as cluster:
        await cluster.until(lambda: cluster.node_of("web"))
        assert cluster.node_of("web") == "large"
        await cluster.until(lambda: cluster.events("Scheduled"))
        event = cluster.events("Scheduled")[0]
        assert event["note"] == "Successfully assigned default/web to large"
        assert event["reportingController"] == "default-scheduler"


async def test_many_pods_fill_all_nodes_and_no_more(start: Any) -> None:
    nodes = [make_node(f"n{i}", cpu="2") for i in range(5)]
    pods = [make_pod(f"p{i}", cpu="1") for i in range(12)]
    async with start(*nodes, *pods) as cluster:
        await cluster.until(lambda: sum(1 for i in range(12) if cluster.node_of(f"p{i}")) == 10)
        await cluster.until(lambda: len(cluster.events("FailedScheduling")) == 2)
        placed = [cluster.node_of(f"p{i}") for i in range(12)]
        assert all(placed.count(f"n{i}") == 2 for i in range(5))


async def test_the_message_names_every_reason(start: Any) -> None:
    nodes = [
        make_node("a", cpu="1"),
        make_node("b", taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}]),
        make_node("c", unschedulable=True),
    ]
    async with start(*nodes, make_pod("web", cpu="2")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        condition = cluster.condition("web")
        assert condition["status"] == "False" and condition["reason"] == "Unschedulable"
        assert condition["message"].startswith(
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), "
            "1 node(s) were unschedulable."
        )


async def test_a_waiting_pod_is_woken_by_a_new_node(start: Any) -> None:
    async with start(make_node("a", cpu="1"), make_pod("web", cpu="2")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        cluster.api.put(make_node("b", cpu="4"))
        await cluster.until(lambda: cluster.node_of("web") == "b")


async def test_a_binding_does_not_overtake_the_refusal_before_it(start: Any) -> None:
    """The refusal would arrive last, and a pod with a node would say that it has none."""
    let_go, written = asyncio.Event(), []
    async with start(make_node("a", cpu="1"), make_pod("web", cpu="2")) as cluster:
        scheduler = cluster.app.scheduler
        patch = scheduler._patch_status

        async def slowly(pod: Any, body: Any) -> None:
            await let_go.wait()
            written.append(cluster.node_of("web"))
            await patch(pod, body)

        scheduler._patch_status = slowly
        await cluster.until(lambda: cluster.events("FailedScheduling"))
        cluster.api.put(make_node("b", cpu="4"))
        await cluster.until(lambda: cluster.app.cache.assumed_count)
        cluster.api.put(make_pod("later", cpu="1"))
        await cluster.until(lambda: cluster.node_of("later"))
        let_go.set()
        await cluster.until(lambda: cluster.node_of("web") == "b")
        assert written == [""]


async def test_gates_hold_a_pod_back(start: Any) -> None:
    pod = make_pod("web", schedulingGates=[{"name": "wait"}])
    async with start(make_node("a"), pod, make_pod("other")) as cluster:
        await cluster.until(lambda: cluster.node_of("other"))
        assert not cluster.node_of("web")
        assert cluster.app.queue.size("gated") == 1
        changed = cluster.pod("web")
        changed["spec"]["schedulingGates"] = []
        cluster.api.put(changed)
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_other_schedulers_pods_are_left_alone(start: Any) -> None:
    pods = [make_pod("theirs", schedulerName="custom"), make_pod("ours")]
    async with start(make_node("a"), *pods) as cluster:
        await cluster.until(lambda: cluster.node_of("ours"))
        assert not cluster.node_of("theirs")


async def test_a_pinned_pod_hears_only_of_its_node(start: Any) -> None:
    """As the pods of a DaemonSet: who is not named is not looked at, whatever else is wrong with it."""
    field = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    nodes = [make_node("a", cpu="1"), make_node("b", unschedulable=True), make_node("c")]
    async with start(*nodes, make_pod("web", cpu="2", affinity=affinity)) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["message"].startswith(
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        )


async def test_a_place_that_is_given_up_goes_to_another(start: Any) -> None:
    from kubarium.apimachinery.errors import InternalError

    async with start(make_node("a", cpu="1")) as cluster:

        def refuse(action: Any, body: Any) -> Any:
            return InternalError("no") if action.subresource == "binding" and action.name == "first" else None

        cluster.api.refuse = refuse
        cluster.api.put(make_pod("first", cpu="1", priority=1))
        cluster.api.put(make_pod("second", cpu="1"))
        await cluster.until(lambda: cluster.node_of("second") == "a")
        text = 'running Bind plugin "DefaultBinder": '
        await cluster.until(lambda: cluster.condition("first").get("message", "").startswith(text))


async def test_without_nodes_the_message_says_so(start: Any) -> None:
    async with start(make_pod("web")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["message"] == "no nodes available to schedule pods"


async def test_a_refused_binding_is_tried_again(start: Any) -> None:
    from kubarium.apimachinery.errors import InternalError

    async with start(make_node("a")) as cluster:
        refusals = []

        def refuse(action: Any, body: Any) -> Any:
            if action.subresource == "binding" and not refusals:
                refusals.append(action)
                return InternalError("no")
            return None

        cluster.api.refuse = refuse
        cluster.api.put(make_pod("web"))
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["reason"] == "SchedulerError"
        await cluster.until(lambda: cluster.node_of("web") == "a")
