"""Stories about deployments: they roll, pause, are overtaken, adopt what they find."""

from __future__ import annotations

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, annotations_of, name_of
from tests.integration.controller_manager.world import World, template, workload

REVISION = "deployment.kubernetes.io/revision"


async def test_a_deployment_rolls_to_a_new_template_and_back(world: World) -> None:
    await world.create(workload("Deployment", replicas=3))

    async def rolled(image: str, revision: str) -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        status, pods = found["status"], await world.pods("app=web")
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        return (
            status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 3
            and images == {image}
            and annotations_of(found).get(REVISION) == revision
        )

    await world.until(lambda: rolled("web:1", "1"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:2")}})
    await world.until(lambda: rolled("web:2", "2"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:1")}})
    await world.until(lambda: rolled("web:1", "3"), kubelet=True)
    found = await world.get("apps/v1", "deployments", "web")
    progressing = conditions.find(found["status"]["conditions"], "Progressing")
    assert progressing and progressing["reason"] == "NewReplicaSetAvailable"
    assert len(await world.list("apps/v1", "replicasets")) == 2
    sets = await world.list("apps/v1", "replicasets", "app=web")
    first = next(one for one in sets if one["spec"]["replicas"] == 3)
    await world.hears("ScalingReplicaSet", f"Scaled up replica set {name_of(first)} from 0 to 3")


async def test_a_recreated_deployment_never_has_two_versions(world: World) -> None:
    await world.create(workload("Deployment", replicas=2, strategy={"type": "Recreate"}))

    async def runs(image: str) -> bool:
        images = [pod["spec"]["containers"][0]["image"] for pod in await world.pods("app=web")]
        assert len(set(images)) <= 1
        found = await world.get("apps/v1", "deployments", "web")
        return images == [image, image] and found["status"].get("availableReplicas") == 2

    await world.until(lambda: runs("web:1"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:2")}})
    await world.until(lambda: runs("web:2"), kubelet=True)


def is_good(pod: Object) -> bool:
    """Only the image `bad` never becomes ready."""
    return bool(pod["spec"]["containers"][0]["image"] != "bad")


async def sizes(world: World) -> dict[str, int]:
    """How many replicas each image's replica set should have."""
    found = await world.list("apps/v1", "replicasets")
    return {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: one["spec"]["replicas"] for one in found
    }


async def complete(world: World, replicas: int, revision: str) -> bool:
    """Is every pod of the present template, and available?"""
    found = await world.get("apps/v1", "deployments", "web")
    status = found.get("status") or {}
    counts = {status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")}
    is_seen = status.get("observedGeneration") == found["metadata"]["generation"]
    return is_seen and counts == {replicas} and annotations_of(found).get(REVISION) == revision


async def test_a_deployment_adopts_counts_on_and_forgets(world: World) -> None:
    """What it finds becomes its past, with the revision that is written there; orphans are found again."""
    old = workload("ReplicaSet", "old", 1)
    old["metadata"]["annotations"] = {REVISION: "3546343826724305832"}
    both = {"app": "web", "pod": "httpd"}
    old["metadata"]["labels"] = old["spec"]["template"]["metadata"]["labels"] = both
    old["spec"]["selector"]["matchLabels"] = both
    await world.create(old)

    async def runs() -> bool:
        return (await world.get("apps/v1", "replicasets", "old"))["status"].get("readyReplicas") == 1

    await world.until(runs, kubelet=True)
    new = workload("Deployment", replicas=1, revisionHistoryLimit=1)
    new["spec"]["template"] = template(image="web:2")
    owner = await world.create(new)
    await world.until(lambda: complete(world, 1, "3546343826724305833"), kubelet=True)

    async def owned(uid: str, *names: str) -> bool:
        found = await world.list("apps/v1", "replicasets")
        owners = [[o["uid"] for o in one["metadata"].get("ownerReferences") or []] for one in found]
        return owners == [[uid] if uid else []] * len(names) and {name_of(one) for one in found} == {*names}

    (current,) = (name_of(one) for one in await world.list("apps/v1", "replicasets", "pod!=httpd"))
    await world.until(lambda: owned(owner["metadata"]["uid"], "old", current))
    await world.patch("apps/v1", "deployments", "web", {"spec": {"revisionHistoryLimit": 0}})
    await world.until(lambda: owned(owner["metadata"]["uid"], current), kubelet=True)

    (pod,) = map(name_of, await world.pods())
    await world.delete("apps/v1", "deployments", "web", propagation_policy="Orphan")

    async def orphaned() -> bool:
        return not await world.list("apps/v1", "deployments") and await owned("", current)

    await world.until(orphaned)
    assert [name_of(one) for one in await world.pods()] == [pod]
    again = await world.create(new)
    await world.until(lambda: owned(again["metadata"]["uid"], current))
    await world.until(lambda: complete(world, 1, "3546343826724305833"), kubelet=True)
    assert [name_of(one) for one in await world.pods()] == [pod]

    await world.delete("apps/v1", "deployments", "web", propagation_policy="Background")

    async def nothing_left() -> bool:
        return not await world.list("apps/v1", "replicasets") and not await world.pods()

    await world.until(nothing_left, kubelet=True)


async def test_a_change_of_size_is_shared_by_both_halves_of_a_rollout(world: World) -> None:
    pace = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await world.create(workload("Deployment", replicas=10, strategy=pace))
    await world.until(lambda: complete(world, 10, "1"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="bad")}})

    async def shared(old: int, new: int) -> bool:
        return await sizes(world) == {"web:1": old, "bad": new}

    await world.until(lambda: shared(8, 5), kubelet=True, ready=is_good)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"replicas": 30}})
    await world.until(lambda: shared(20, 13), kubelet=True, ready=is_good)


async def test_a_rollout_is_overtaken_by_the_next(world: World) -> None:
    pace = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await world.create(workload("Deployment", replicas=1, strategy=pace))
    await world.until(lambda: complete(world, 1, "1"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="bad")}})

    async def stuck() -> bool:
        status = (await world.get("apps/v1", "deployments", "web"))["status"]
        return (status.get("updatedReplicas"), status.get("unavailableReplicas")) == (1, 1)

    await world.until(stuck, kubelet=True, ready=is_good)
    assert await sizes(world) == {"web:1": 1, "bad": 1}
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:3")}})
    await world.until(lambda: complete(world, 1, "3"), kubelet=True, ready=is_good)

    async def others_are_empty() -> bool:
        return await sizes(world) == {"web:1": 0, "bad": 0, "web:3": 1}

    await world.until(others_are_empty, kubelet=True, ready=is_good)


async def test_a_paused_rollout_waits_and_is_told_of(world: World) -> None:
    await world.create(workload("Deployment", replicas=1))
    await world.until(lambda: complete(world, 1, "1"), kubelet=True)
    paused = {"spec": {"paused": True, "replicas": 2, "template": template(image="web:2")}}
    await world.patch("apps/v1", "deployments", "web", paused)

    async def told(status: str, reason: str, message: str) -> bool:
        found = (await world.get("apps/v1", "deployments", "web"))["status"]
        one = conditions.find(found["conditions"], "Progressing")
        return one is not None and (one["status"], one["reason"], one["message"]) == (status, reason, message)

    await world.until(lambda: told("Unknown", "DeploymentPaused", "Deployment is paused"))

    async def grown() -> bool:  # a paused one changes its size all the same
        return await sizes(world) == {"web:1": 2}

    await world.until(grown, kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"paused": False}})
    await world.until(lambda: complete(world, 2, "2"), kubelet=True)
    new = next(one for one in await world.list("apps/v1", "replicasets") if one["spec"]["replicas"])
    text = f'ReplicaSet "{name_of(new)}" has successfully progressed.'
    await world.until(lambda: told("True", "NewReplicaSetAvailable", text))
