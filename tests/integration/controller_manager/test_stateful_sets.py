"""Stories about stateful sets: order, updates, claims."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from kubarium.apimachinery.object import Object, is_deleting, labels_of, name_of
from tests.integration.controller_manager.world import World, readiness, template, workload


async def test_a_stateful_set_starts_in_order_updates_in_reverse_and_keeps_its_claims(world: World) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await world.create(workload("StatefulSet", "db", 2, serviceName="db", volumeClaimTemplates=[claim]))

    async def only_first() -> bool:
        return [name_of(pod) for pod in await world.pods("app=db")] == ["db-0"]

    await world.until(only_first)

    async def complete(image: str) -> bool:
        status = (await world.get("apps/v1", "statefulsets", "db"))["status"]
        pods = await world.pods("app=db")
        images = [pod["spec"]["containers"][0]["image"] for pod in pods]
        return (
            status.get("readyReplicas") == status.get("updatedReplicas") == 2
            and status["currentRevision"] == status["updateRevision"]
            and images == [image, image]
        )

    await world.until(lambda: complete("web:1"), kubelet=True)
    revision = (await world.get("apps/v1", "statefulsets", "db"))["status"]["currentRevision"]
    first = await world.get("v1", "pods", "db-0")
    assert first["spec"]["hostname"] == "db-0" and first["spec"]["subdomain"] == "db"
    assert labels_of(first)["statefulset.kubernetes.io/pod-name"] == "db-0"
    assert labels_of(first)["apps.kubernetes.io/pod-index"] == "0"
    names = [name_of(one) for one in await world.list("v1", "persistentvolumeclaims")]
    assert names == ["data-db-0", "data-db-1"]
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"template": template("db", "web:2")}})
    await world.until(lambda: complete("web:2"), kubelet=True)
    await world.hears("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful")
    assert [name async for name in happened(world, "DELETED", 2)] == ["db-1", "db-0"]
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"template": template("db", "web:1")}})
    await world.until(lambda: complete("web:1"), kubelet=True)
    assert (await world.get("apps/v1", "statefulsets", "db"))["status"]["currentRevision"] == revision
    history = await world.list("apps/v1", "controllerrevisions")
    assert {name_of(one): one["revision"] for one in history}.pop(revision) == 3 and len(history) == 2
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": 0}})

    async def empty() -> bool:
        return not await world.pods("app=db")

    await world.until(empty, kubelet=True)
    assert len(await world.list("v1", "persistentvolumeclaims")) == 2


async def happened(world: World, type: str, count: int) -> AsyncIterator[str]:
    """The names of the first pods with which this happened since the namespace was made."""
    space = await world.resource("v1", "namespaces").get(world.namespace)
    since = space["metadata"]["resourceVersion"]
    async with aclosing(
        world.resource("v1", "pods").watch(world.namespace, resource_version=since)
    ) as changes:
        async for event in changes:
            if event.type == type:
                yield name_of(event.obj)
                count -= 1
            if not count:
                return


async def test_a_stateful_set_halts_while_a_pod_is_unhealthy_and_shrinks_from_the_end(world: World) -> None:
    async def seen(*names: str, ready: int) -> bool:
        """It has seen its newest wish, and these are its pods."""
        found = await world.get("apps/v1", "statefulsets", "db")
        status = found.get("status") or {}
        is_new = status.get("observedGeneration") == found["metadata"]["generation"]
        pods = [name_of(pod) for pod in await world.pods() if not is_deleting(pod)]
        return is_new and status.get("readyReplicas", 0) == ready and pods == list(names)

    every = ("db-0", "db-1", "db-2")
    await world.create(workload("StatefulSet", "db", 1, serviceName="db"))
    await world.until(lambda: seen("db-0", ready=0))
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": 3}})
    await world.until(lambda: seen("db-0", ready=0))
    await world.until(lambda: seen(*every, ready=3), kubelet=True)
    for name in every:
        await world.report(name, conditions=[readiness(False)])
    await world.until(lambda: seen(*every, ready=0))
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": 0}})
    await world.until(lambda: seen(*every, ready=0))
    for name in every[:-1]:  # the only one that is not healthy is let go
        await world.report(name, conditions=[readiness(True)])
    await world.until(lambda: seen(ready=0), kubelet=True)
    assert [name async for name in happened(world, "ADDED", 3)] == ["db-0", "db-1", "db-2"]
    assert [name async for name in happened(world, "DELETED", 3)] == ["db-2", "db-1", "db-0"]


async def test_a_parallel_stateful_set_does_not_wait_for_the_unhealthy(world: World) -> None:
    await world.create(workload("StatefulSet", "db", 2, serviceName="db", podManagementPolicy="Parallel"))

    async def there(count: int) -> bool:
        return [name_of(pod) for pod in await world.pods()] == [f"db-{number}" for number in range(count)]

    for count in (2, 4, 0):  # none of them ever runs
        await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": count}})
        await world.until(partial(there, count))


async def test_a_partition_holds_pods_back(world: World) -> None:
    """A partition beyond the last pod holds all back; a lower one lets a canary through; then by and by the rest."""

    def partition(number: int) -> Object:
        return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": number}}}

    await world.create(workload("StatefulSet", "db", 3, serviceName="db", **partition(3)))

    async def images(*wanted: str) -> bool:
        found = {name_of(pod): pod["spec"]["containers"][0]["image"] for pod in await world.pods("app=db")}
        status = (await world.get("apps/v1", "statefulsets", "db")).get("status") or {}
        return found == {f"db-{number}": image for number, image in enumerate(wanted)} and (
            status.get("readyReplicas") == 3
        )

    async def counts(current: int, updated: int) -> bool:
        status = (await world.get("apps/v1", "statefulsets", "db"))["status"]
        is_mixed = status["currentRevision"] != status["updateRevision"]
        found = status.get("currentReplicas", 0), status.get("updatedReplicas", 0)
        return is_mixed and found == (current, updated)

    old, new = "web:1", "web:2"
    await world.until(lambda: images(old, old, old), kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"template": template("db", new)}})
    await world.until(lambda: counts(3, 0))
    assert await images(old, old, old)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": partition(2)})
    await world.until(lambda: images(old, old, new), kubelet=True)
    await world.until(lambda: counts(2, 1))
    before = {pod["metadata"]["uid"] for pod in await world.pods()}
    for name in ("db-0", "db-2"):
        await world.delete("v1", "pods", name)

    async def restored() -> bool:
        kept = before & {pod["metadata"]["uid"] for pod in await world.pods()}
        return len(kept) == 1 and await images(old, old, new)

    await world.until(restored, kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": partition(1)})
    await world.until(lambda: images(old, new, new), kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": partition(0)})

    async def whole() -> bool:
        status = (await world.get("apps/v1", "statefulsets", "db"))["status"]
        is_one = status["currentRevision"] == status["updateRevision"]
        return is_one and status["currentReplicas"] == 3 and await images(new, new, new)

    await world.until(whole, kubelet=True)


async def test_stateful_pods_count_from_where_they_are_told_and_are_available_after_a_while(
    world: World,
) -> None:
    ordinals = {"serviceName": "db", "minReadySeconds": 3600, "ordinals": {"start": 3}}
    await world.create(workload("StatefulSet", "db", 1, **ordinals))

    async def status(*names: str, ready: int, available: int) -> bool:
        found = (await world.get("apps/v1", "statefulsets", "db")).get("status") or {}
        counts = found.get("readyReplicas", 0), found.get("availableReplicas", 0)
        return counts == (ready, available) and sorted(map(name_of, await world.pods())) == list(names)

    await world.until(lambda: status("db-3", ready=1, available=0), kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"minReadySeconds": 2}})
    await world.until(lambda: status("db-3", ready=1, available=1), kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"ordinals": {"start": 2}}})
    await world.until(lambda: status("db-2", ready=1, available=1), kubelet=True)


async def test_claims_go_when_the_retention_policy_says_so(world: World) -> None:
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    await world.create(
        workload(
            "StatefulSet",
            "db",
            2,
            serviceName="db",
            podManagementPolicy="Parallel",
            volumeClaimTemplates=[claim],
            persistentVolumeClaimRetentionPolicy={"whenScaled": "Delete", "whenDeleted": "Delete"},
        )
    )

    async def claims(*wanted: str) -> bool:
        return [name_of(one) for one in await world.list("v1", "persistentvolumeclaims")] == list(wanted)

    async def ready(count: int) -> bool:
        return ((await world.get("apps/v1", "statefulsets", "db")).get("status") or {}).get(
            "readyReplicas", 0
        ) == count

    await world.until(lambda: ready(2), kubelet=True)
    assert await claims("data-db-0", "data-db-1")
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": 1}})
    await world.until(lambda: claims("data-db-0"), kubelet=True)
    await world.resource("apps/v1", "statefulsets").delete("db", world.namespace)
    await world.until(lambda: claims(), kubelet=True)


async def test_a_failed_stateful_pod_comes_back_under_its_name(world: World) -> None:
    await world.create(workload("StatefulSet", "db", 1, serviceName="db"))

    async def there() -> bool:
        return [name_of(pod) for pod in await world.pods("app=db")] == ["db-0"]

    await world.until(there)
    first = (await world.get("v1", "pods", "db-0"))["metadata"]["uid"]
    await world.kubelet(finish="Failed")

    async def again() -> bool:
        pod = await world.get("v1", "pods", "db-0")
        return bool(pod["metadata"]["uid"] != first and pod["status"]["phase"] == "Pending")

    await world.until(again)
    await world.hears("RecreatingFailedPod", "is recreating failed Pod db-0")
