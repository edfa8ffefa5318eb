"""Pods that are more important than others, on a real API server: the stories of upstream's SchedulerPreemption."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kubarium.apimachinery import conditions
from kubarium.apimachinery.errors import Invalid, NotFound
from kubarium.apimachinery.object import Object
from kubarium.client.rest import Client
from tests.integration.controller_manager.world import ControllerManager
from tests.integration.running import ApiServer
from tests.integration.scheduler.world import World, eventually


async def _fill(world: World, *names: str) -> None:
    """A node of as many cores as there are pods of no importance on it."""
    await world.add_node(f"{world.namespace}-a", cpu=str(len(names)))
    for name in names:
        await world.add_pod(name)
    for name in names:
        await eventually(lambda name=name: world.node_of(name))  # type: ignore[misc]


async def test_an_important_pod_takes_the_place_of_others(world: World) -> None:
    await _fill(world, "low-1", "low-2")
    await world.add_pod("vip", priorityClassName=await world.add_class("high", 1000))
    assert await eventually(lambda: world.node_of("vip")) == f"{world.namespace}-a"
    assert len((await world.pods.list(world.namespace))["items"]) == 2
    assert "Preempted by pod" in (await eventually(lambda: world.messages("Preempted")))[0]
    await world.add_pod("critical", cpu="2", priorityClassName="system-cluster-critical")
    assert await eventually(lambda: world.node_of("critical"))
    assert [pod["metadata"]["name"] for pod in (await world.pods.list(world.namespace))["items"]] == [
        "critical"
    ]


async def test_the_meek_wait(world: World) -> None:
    await _fill(world, "low")
    meek = await world.add_class("meek", 1000, preemptionPolicy="Never")
    await world.add_pod("patient", priorityClassName=meek)
    condition = await eventually(lambda: world.objection("patient", "1 Insufficient cpu"))
    assert "preemption: not eligible due to preemptionPolicy=Never." in condition["message"]
    assert await world.node_of("low")
    await world.pods.delete("low", world.namespace, grace_period_seconds=0)
    assert await eventually(lambda: world.node_of("patient"))


async def test_who_must_go_is_told_why(world: World) -> None:
    await _fill(world, "victim")
    await world.pods.patch("victim", {"metadata": {"finalizers": ["example.com/test"]}}, world.namespace)
    await world.add_pod("vip", priorityClassName=await world.add_class("high", 1000))

    async def told() -> Object | None:
        victim = await world.pod("victim")
        found = conditions.find(victim["status"].get("conditions"), "DisruptionTarget")
        return found if "deletionTimestamp" in victim["metadata"] else None

    condition = await eventually(told)
    assert condition["status"] == "True" and condition["reason"] == "PreemptionByScheduler"
    assert condition["message"] == "default-scheduler: preempting to accommodate a higher priority pod"

    async def promised() -> bool:
        status = (await world.pod("vip"))["status"]
        return bool(status.get("nominatedNodeName") == f"{world.namespace}-a")

    await eventually(promised)
    assert not await world.node_of("vip")
    await world.pods.patch("victim", {"metadata": {"finalizers": None}}, world.namespace)
    assert await eventually(lambda: world.node_of("vip")) == f"{world.namespace}-a"
    with pytest.raises(NotFound):
        await world.pod("victim")


@pytest.fixture
def replica_sets(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Somebody who makes the pods of ReplicaSets."""
    flags = ("--leader-elect=false", "--controllers=replicaset-controller")
    manager = ControllerManager(tmp_path_factory.mktemp("replicasets"), api_server, *flags)
    manager.start()
    yield
    assert manager.stop() == 0


async def test_replica_sets_of_four_priorities(world: World, client: Client, replica_sets: None) -> None:
    """Upstream's `PreemptionExecutionPath`: the newcomer takes what it needs from the least important."""
    await world.add_node(f"{world.namespace}-a", cpu="1")
    sets = client.resource("apps/v1", "replicasets")
    amounts = {1: "200m", 2: "300m", 3: "450m", 4: "200m"}

    async def add(level: int) -> None:
        labels = {"level": str(level)}
        container = {"name": "main", "image": "busybox", "resources": {"requests": {"cpu": amounts[level]}}}
        spec: Any = {
            "containers": [container],
            "nodeSelector": {"test": world.namespace},
            "priorityClassName": await world.add_class(f"p{level}", level),
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
        }
        template = {"metadata": {"labels": labels}, "spec": spec}
        await sets.create(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {"name": f"rs-{level}", "namespace": world.namespace},
                "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
            }
        )

    async def placed() -> set[str]:
        items = (await world.pods.list(world.namespace))["items"]
        return {pod["metadata"]["labels"]["level"] for pod in items if pod["spec"].get("nodeName")}

    async def are(*levels: str) -> None:
        async def so() -> bool:
            return await placed() == set(levels)

        await eventually(so)

    for level in (1, 2, 3):
        await add(level)
    await are("1", "2", "3")
    await add(4)
    await are("2", "3", "4")
    assert len(await eventually(lambda: world.messages("Preempted"))) == 1
    for level in amounts:
        await sets.delete(f"rs-{level}", world.namespace, propagation_policy="Background")


async def test_the_ways_to_a_priority_class(world: World) -> None:
    """Upstream's `verify PriorityClass endpoints`: all but the value and the policy may change."""
    first, second = await world.add_class("p1", 1), await world.add_class("p2", 2)
    found = (await world.classes.list(label_selector=f"test={world.namespace}"))["items"]
    assert {one["metadata"]["name"]: one["value"] for one in found} == {first: 1, second: 2}
    assert {one["preemptionPolicy"] for one in found} == {"PreemptLowerPriority"}
    patched = await world.classes.patch(first, {"description": "patched", "globalDefault": False})
    assert patched["description"] == "patched" and patched["value"] == 1
    updated = await world.classes.update({**patched, "description": "updated"})
    assert updated["description"] == "updated"
    with pytest.raises(Invalid, match="value: Forbidden: may not be changed in an update"):
        await world.classes.patch(first, {"value": 7})
    with pytest.raises(Invalid, match="preemptionPolicy"):
        await world.classes.update({**updated, "preemptionPolicy": "Never"})
    assert (await world.classes.get(first))["value"] == 1
