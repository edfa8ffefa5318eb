"""Stories about replica sets and their elders, the replication controllers."""

from __future__ import annotations

import pytest

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, name_of
from tests.integration.controller_manager.world import World, template, workload

BOTH = pytest.mark.parametrize(
    "place", [("apps/v1", "replicasets"), ("v1", "replicationcontrollers")], ids=lambda place: place[1]
)


def owner_of_pods(place: tuple[str, str], replicas: int) -> Object:
    """A set of the newer or the older kind."""
    if place[1] == "replicasets":
        return workload("ReplicaSet", replicas=replicas)
    found = workload("ReplicationController", replicas=replicas, selector={"app": "web"})
    return found | {"apiVersion": "v1"}


@BOTH
async def test_it_reports_what_a_quota_forbids(world: World, place: tuple[str, str]) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "two"},
        "spec": {"hard": {"pods": "2"}},
    }
    await world.create(quota)

    async def counted(used: str) -> bool:
        status = (await world.get("v1", "resourcequotas", "two")).get("status") or {}
        return (status.get("used") or {}).get("pods") == used

    await world.until(lambda: counted("0"))
    await world.create(owner_of_pods(place, 3))

    async def failing() -> bool:
        found = await world.get(*place, "web")
        failure = conditions.find((found.get("status") or {}).get("conditions"), "ReplicaFailure")
        return (
            failure is not None
            and failure["reason"] == "FailedCreate"
            and "exceeded quota" in failure["message"]
        )

    await world.until(failing)
    await world.patch(*place, "web", {"spec": {"replicas": 2}})

    async def well() -> bool:
        found = await world.get(*place, "web")
        return not conditions.is_true(found, "ReplicaFailure") and found["status"]["replicas"] == 2

    await world.until(well)
    await world.until(lambda: counted("2"))
    await world.patch(*place, "web", {"spec": {"replicas": 1}})
    await world.until(lambda: counted("1"), kubelet=True)


@BOTH
async def test_it_adopts_and_releases(world: World, place: tuple[str, str]) -> None:
    orphan = {"apiVersion": "v1", "kind": "Pod", **template(nodeName="somewhere")}
    orphan["metadata"] = {"name": "orphan", "labels": {"app": "web"}}
    await world.create(orphan)
    await world.create(owner_of_pods(place, 1))

    async def adopted() -> bool:
        references = (await world.get("v1", "pods", "orphan"))["metadata"].get("ownerReferences") or []
        return [one["name"] for one in references] == ["web"]

    await world.until(adopted)

    async def alone() -> bool:  # a pod made before the orphan was seen goes again: it has no node
        return [name_of(pod) for pod in await world.pods()] == ["orphan"]

    await world.until(alone)
    await world.patch("v1", "pods", "orphan", {"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        pod = await world.get("v1", "pods", "orphan")
        return not pod["metadata"].get("ownerReferences") and len(await world.pods("app=web")) == 1

    await world.until(released)


@BOTH
async def test_it_keeps_as_many_as_it_is_told(world: World, place: tuple[str, str]) -> None:
    await world.create(owner_of_pods(place, 2))

    async def ready(count: int) -> bool:
        status = (await world.get(*place, "web")).get("status") or {}
        return (
            status.get("readyReplicas", 0) == status["replicas"] == count == len(await world.pods("app=web"))
        )

    await world.until(lambda: ready(2), kubelet=True)
    await world.delete("v1", "pods", name_of((await world.pods())[0]))
    await world.until(lambda: ready(2), kubelet=True)
    await world.patch(*place, "web", {"spec": {"replicas": 1}})
    await world.until(lambda: ready(1), kubelet=True)
