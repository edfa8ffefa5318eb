"""Stories about quotas: what is counted, when it is given back, and what a quota does not look at."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, status_of
from tests.integration.controller_manager.test_networking import service
from tests.integration.controller_manager.world import World, template, workload

DONGLE = "requests.example.com/dongle"
SIZE = {"cpu": "500m", "memory": "252Mi", "ephemeral-storage": "30Gi", "example.com/dongle": "2"}
COUNTED = {
    "configmaps": "10", "count/replicasets.apps": "5", "persistentvolumeclaims": "10", "pods": "5",
    "replicationcontrollers": "10", "resourcequotas": "1", "secrets": "10", "services": "10",
    "services.loadbalancers": "1", "services.nodeports": "2", "requests.storage": "10Gi",
    "cpu": "1", "memory": "500Mi", "requests.ephemeral-storage": "50Gi", DONGLE: "3",
}  # fmt: skip


async def quota(world: World, name: str = "all", **spec: object) -> Object:
    return await world.create(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec}
    )


async def uses(world: World, name: str = "all", **wanted: str) -> bool:
    """Does the quota count this, beside what is always there, and tell of its limits?"""
    found = await world.get("v1", "resourcequotas", name)
    used = status_of(found).get("used") or {}
    return status_of(found).get("hard") == found["spec"]["hard"] and wanted.items() <= used.items()


def pod(name: str, size: dict[str, str] | None = None, **spec: object) -> Object:
    found: Object = {"apiVersion": "v1", "kind": "Pod", **template(**spec), "metadata": {"name": name}}
    if size:
        found["spec"]["containers"][0]["resources"] = {"requests": size, "limits": size}
    return found


async def accepted(world: World, one: Object) -> bool:
    """Make it; admission may not have heard of something yet."""
    try:
        await world.create(one)
    except errors.Forbidden:
        return False
    return True


async def test_a_quota_captures_the_life_of_everything(world: World) -> None:
    async def authority() -> bool:  # it comes by itself, and is a config map
        return bool(await world.list("v1", "configmaps"))

    await world.until(authority)
    await quota(world, hard=COUNTED)
    nothing = dict.fromkeys(COUNTED, "0") | {"configmaps": "1", "resourcequotas": "1"}
    await world.until(lambda: uses(world, **nothing))

    claim: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    controller = workload("ReplicationController", "old", 0, selector={"app": "old"}) | {"apiVersion": "v1"}
    made = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "one"}, "spec": claim},
        workload("ReplicaSet", "new", 0),
        controller,
        service("plain"),
        service("port", type="NodePort"),
        service("balanced", type="LoadBalancer", allocateLoadBalancerNodePorts=False),
        pod("one", SIZE),
    ]
    for one in made:
        await world.create(one)
    everything = {
        "configmaps": "2", "count/replicasets.apps": "1", "persistentvolumeclaims": "1", "pods": "1",
        "replicationcontrollers": "1", "resourcequotas": "1", "secrets": "1", "services": "3",
        "services.loadbalancers": "1", "services.nodeports": "1", "requests.storage": "1Gi",
        "cpu": "500m", "memory": "252Mi", "requests.ephemeral-storage": "30Gi", DONGLE: "2",
    }  # fmt: skip
    await world.until(lambda: uses(world, **everything))
    refused: list[tuple[Object, str]] = [
        (service("second", type="LoadBalancer"), "services.loadbalancers=1"),
        (service("ports", type="NodePort", ports=[{"port": n, "name": f"p{n}"} for n in (1, 2)]), "services.nodeports"),
        (pod("two", SIZE | {"cpu": "600m", "memory": "1Mi"}), "cpu=600m"),
        (pod("two", SIZE | {"memory": "1Mi"}), f"{DONGLE}=2"),
    ]  # fmt: skip
    for one, why in refused:
        with pytest.raises(errors.Forbidden) as error:
            await world.create(one)
        assert "exceeded quota: all, requested: " in error.value.message and why in error.value.message
    with pytest.raises(errors.StatusError):  # the size of a pod is not for anybody to change like this
        larger = {"name": "main", "resources": {"requests": {"cpu": "600m"}}}
        await world.patch("v1", "pods", "one", {"spec": {"containers": [larger]}})
    assert await uses(world, **everything)

    for api_version, plural, name in (
        ("v1", "configmaps", "one"), ("v1", "secrets", "one"), ("v1", "persistentvolumeclaims", "one"),
        ("apps/v1", "replicasets", "new"), ("v1", "replicationcontrollers", "old"), ("v1", "services", "plain"),
        ("v1", "services", "port"), ("v1", "services", "balanced"),
    ):  # fmt: skip
        await world.delete(api_version, plural, name)
    await world.delete("v1", "pods", "one", grace_period_seconds=0)
    await world.until(lambda: uses(world, **nothing))


async def test_a_quota_looks_only_at_its_scopes(world: World) -> None:
    classes = world.resource("scheduling.k8s.io/v1", "priorityclasses")
    important = f"{world.namespace}-important"
    kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": important}}
    await classes.create({**kind, "value": 1000})
    spread: Object = {
        "topologyKey": "zone",
        "namespaceSelector": {},
        "labelSelector": {"matchLabels": {"a": "b"}},
    }
    pods: dict[str, tuple[Object, set[str]]] = {
        "effortless": (pod("effortless"), {"BestEffort", "NotTerminating"}),
        "sized": (pod("sized", {"cpu": "100m"}), {"NotBestEffort", "NotTerminating"}),
        "ending": (pod("ending", {"cpu": "100m"}, activeDeadlineSeconds=3600), {"NotBestEffort", "Terminating"}),
        "important": (pod("important", priorityClassName=important), {"BestEffort", "NotTerminating", "PriorityClass"}),
        "spread": (
            pod("spread", affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [spread]}}),
            {"BestEffort", "NotTerminating", "CrossNamespacePodAffinity"},
        ),
    }  # fmt: skip
    try:
        scopes = {scope for _, found in pods.values() for scope in found}
        for scope in scopes - {"PriorityClass"}:
            await quota(world, scope.lower(), hard={"pods": "5"}, scopes=[scope])
        chosen = {"scopeName": "PriorityClass", "operator": "In", "values": [important]}
        await quota(world, "priorityclass", hard={"pods": "5"}, scopeSelector={"matchExpressions": [chosen]})

        async def counted(*names: str) -> bool:
            wanted = {scope: sum(scope in pods[name][1] for name in names) for scope in scopes}
            return all([await uses(world, scope.lower(), pods=str(n)) for scope, n in wanted.items()])

        await world.until(counted)
        for one, _ in pods.values():
            await world.until(partial(accepted, world, one))
        await world.until(lambda: counted(*pods))
        for name in pods:
            await world.delete("v1", "pods", name, grace_period_seconds=0)
        await world.until(counted)
    finally:
        await classes.delete(important)


async def test_a_quota_is_changed_told_something_else_and_deleted(world: World) -> None:
    """Its status is the controller's: what others write there holds only until it looks again."""
    await quota(world, hard={"cpu": "1", "memory": "500Mi"})
    await world.until(lambda: uses(world, cpu="0", memory="0"))
    quotas = world.resource("v1", "resourcequotas")
    await world.patch("v1", "resourcequotas", "all", {"spec": {"hard": {"cpu": "2", "memory": "1Gi"}}})
    await world.until(lambda: uses(world, cpu="0", memory="0"))
    lie: dict[str, Any] = {"hard": {"cpu": "9"}, "used": {"cpu": "8"}}
    told = await quotas.patch("all", {"status": lie}, world.namespace, subresource="status")
    assert told["status"]["hard"]["cpu"] == "9" and told["spec"]["hard"] == {"cpu": "2", "memory": "1Gi"}
    await world.until(lambda: uses(world, cpu="0", memory="0"))
    await world.delete("v1", "resourcequotas", "all")
    assert not await world.list("v1", "resourcequotas")
    await world.until(lambda: accepted(world, pod("free", {"cpu": "64", "memory": "1Ti"})))
