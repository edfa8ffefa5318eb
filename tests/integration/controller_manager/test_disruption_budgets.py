"""Stories about disruption budgets and the evictions that they hold up."""

from __future__ import annotations

import pytest

from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import name_of
from tests.integration.controller_manager.world import World, workload


async def test_a_budget_says_how_many_pods_may_go(world: World) -> None:
    await world.create(workload("Deployment", replicas=3))
    await world.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        }
    )

    async def allows(count: int, healthy: int) -> bool:
        status = (await world.get("policy/v1", "poddisruptionbudgets", "web")).get("status") or {}
        return (status.get("disruptionsAllowed"), status.get("currentHealthy")) == (count, healthy)

    await world.until(lambda: allows(1, 3), kubelet=True)
    status = (await world.get("policy/v1", "poddisruptionbudgets", "web"))["status"]
    assert (status["expectedPods"], status["desiredHealthy"]) == (3, 2)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"replicas": 2}})
    await world.until(lambda: allows(1, 2), kubelet=True)


async def test_an_eviction_waits_for_the_budget(world: World) -> None:
    budget = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    await world.create(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "web"},
            "spec": budget,
        }
    )

    async def says(reason: str, allowed: int) -> bool:
        found = await world.get("policy/v1", "poddisruptionbudgets", "web")
        status = found.get("status") or {}
        condition = conditions.find(status.get("conditions"), "DisruptionAllowed")
        is_new = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(
            is_new and condition and condition["reason"] == reason and status["disruptionsAllowed"] == allowed
        )

    await world.until(lambda: says("InsufficientPods", 0))
    await world.create(workload("ReplicaSet", replicas=2))

    async def healthy() -> bool:
        status = (await world.get("policy/v1", "poddisruptionbudgets", "web"))["status"]
        return bool(status["currentHealthy"] == 2)

    await world.until(healthy, kubelet=True)
    victim = name_of((await world.pods())[0])
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": victim}}

    async def evict() -> None:
        pods = world.resource("v1", "pods")
        await pods.create(eviction, world.namespace, name=victim, subresource="eviction")

    with pytest.raises(errors.StatusError) as refused:
        await evict()
    assert refused.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
    (cause,) = refused.value.causes()
    assert cause["message"] == "The disruption budget web needs 2 healthy pods and has 2 currently"
    await world.patch("policy/v1", "poddisruptionbudgets", "web", {"spec": {"minAvailable": 1}})
    await world.until(lambda: says("SufficientPods", 1))
    await evict()

    async def gone() -> bool:
        return victim not in map(name_of, await world.pods())

    await world.until(gone, kubelet=True)
