"""Deployment and ReplicaSet together, on a fake API server.

| what changes                    | what must follow                                     |
|---------------------------------|------------------------------------------------------|
| a new Deployment                | one ReplicaSet, its pods, Available, events          |
| the template                    | pods are handed over within surge and unavailable    |
| back to the old template        | the old ReplicaSet again, with a new revision        |
| replicas                        | the same ReplicaSet grows or shrinks                 |
| strategy Recreate               | no new pod before the last old one is gone           |
| a pod is deleted by hand        | a new one                                            |
| a pod's label is taken away     | released, replaced                                   |
| an orphan pod that matches      | adopted                                              |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controller_manager.controllers.workloads.deployment import recreate
from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, annotations_of, copy, name_of
from tests.unit.controller_manager.cluster import Cluster, template

CONTROLLERS = ("deployment-controller", "replicaset-controller")


def deployment(replicas: int = 3, image: str = "web:1", **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "default",
            "generation": 1,
            "annotations": {"note": "hello"},
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": template(image=image),
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def change(cluster: Cluster, edit: Callable[[Object], None]) -> None:
    obj = cluster.api.get("apps/v1", "deployments", "default", "web")
    edit(obj)
    obj["metadata"]["generation"] += 1
    cluster.api.put(obj)


def sets(cluster: Cluster) -> dict[str, Object]:
    return {
        one["spec"]["template"]["spec"]["containers"][0]["image"]: one
        for one in cluster.api.objects("apps/v1", "replicasets")
    }


def current(cluster: Cluster) -> Object:
    return cluster.api.get("apps/v1", "deployments", "default", "web")


async def roll(cluster: Cluster, rounds: int = 20) -> None:
    for _ in range(rounds):
        await cluster.settle()
        cluster.run_pods()
    await cluster.settle()


async def test_a_deployment_becomes_pods(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment())
    await roll(cluster, 3)
    assert len(cluster.pods()) == 3
    (replica_set,) = cluster.api.objects("apps/v1", "replicasets")
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert name_of(replica_set) == f"web-{digest}"
    assert annotations_of(replica_set) == {
        "note": "hello",
        "deployment.kubernetes.io/revision": "1",
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
    }
    status = current(cluster)["status"]
    assert (status["replicas"], status["updatedReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert conditions.is_true(current(cluster), "Available")
    progressing = conditions.find(status["conditions"], "Progressing")
    assert progressing and progressing["reason"] == "NewReplicaSetAvailable"
    assert progressing["message"] == f'ReplicaSet "web-{digest}" has successfully progressed.'
    assert cluster.events("ScalingReplicaSet") == [f"Scaled up replica set web-{digest} from 0 to 3"]
    created = {f"Created pod: {name_of(pod)}" for pod in cluster.pods()}
    assert set(cluster.events("SuccessfulCreate")) <= created  # events of one instant share a name


async def test_a_quiet_deployment_writes_nothing(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment())
    await roll(cluster, 3)
    before = len(cluster.api.actions)
    await cluster.settle(3600)
    assert cluster.api.actions[before:] == []


async def test_a_rolling_update_stays_within_its_bounds_and_can_be_undone(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(
        deployment(
            4, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}
        )
    )
    await roll(cluster, 3)
    change(cluster, lambda d: d["spec"].update(template=template(image="web:2")))
    for _ in range(30):
        await cluster.settle()
        alive = [pod for pod in cluster.pods() if not pod["metadata"].get("deletionTimestamp")]
        ready = [pod for pod in alive if conditions.is_true(pod, "Ready")]
        assert len(alive) <= 5
        assert len(ready) >= 3
        cluster.run_pods()
    await cluster.settle()
    found = sets(cluster)
    assert (found["web:1"]["spec"]["replicas"], found["web:2"]["spec"]["replicas"]) == (0, 4)
    assert annotations_of(current(cluster))["deployment.kubernetes.io/revision"] == "2"
    change(cluster, lambda d: d["spec"].update(template=template(image="web:1")))
    await roll(cluster)
    found = sets(cluster)
    assert (found["web:1"]["spec"]["replicas"], found["web:2"]["spec"]["replicas"]) == (4, 0)
    assert annotations_of(found["web:1"])["deployment.kubernetes.io/revision"] == "3"
    assert annotations_of(found["web:1"])["deployment.kubernetes.io/revision-history"] == "1"


async def test_scaling_touches_one_replica_set(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment(3))
    await roll(cluster, 3)
    change(cluster, lambda d: d["spec"].update(replicas=1))
    await roll(cluster, 3)
    assert len(cluster.pods()) == 1
    assert len(cluster.api.objects("apps/v1", "replicasets")) == 1
    assert current(cluster)["status"]["replicas"] == 1


async def test_recreate_waits_for_the_last_old_pod(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment(2, strategy={"type": "Recreate"}))
    await roll(cluster, 3)
    change(cluster, lambda d: d["spec"].update(template=template(image="web:2")))
    await cluster.settle()
    assert all(pod["metadata"].get("deletionTimestamp") for pod in cluster.pods())
    assert "web:2" not in sets(cluster)
    await roll(cluster, 4)
    assert {pod["spec"]["containers"][0]["image"] for pod in cluster.pods()} == {"web:2"}
    assert len(cluster.pods()) == 2


async def test_a_stuck_rollout_misses_its_deadline(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment(2, progressDeadlineSeconds=10))
    await cluster.settle(30)
    progressing = conditions.find(current(cluster)["status"]["conditions"], "Progressing")
    assert progressing and progressing["reason"] == "ProgressDeadlineExceeded"


async def test_a_paused_deployment_does_not_roll(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment(2))
    await roll(cluster, 3)
    change(cluster, lambda d: d["spec"].update(paused=True, template=template(image="web:2")))
    await roll(cluster, 3)
    assert set(sets(cluster)) == {"web:1"}
    progressing = conditions.find(current(cluster)["status"]["conditions"], "Progressing")
    assert progressing and progressing["reason"] == "DeploymentPaused"
    change(cluster, lambda d: d["spec"].update(paused=False))
    await roll(cluster)
    assert sets(cluster)["web:2"]["spec"]["replicas"] == 2


async def test_pods_are_replaced_released_and_adopted(cluster: Cluster) -> None:
    await cluster.start(*CONTROLLERS)
    cluster.api.put(deployment(2))
    await roll(cluster, 3)
    first, second = cluster.pods()
    cluster.api.remove("v1", "pods", "default", name_of(first))
    released = copy(second)
    released["metadata"]["labels"] = {"app": "other"}
    cluster.api.put(released)
    await roll(cluster, 3)
    assert len(cluster.pods()) == 3
    assert not cluster.api.get("v1", "pods", "default", name_of(second))["metadata"].get("ownerReferences")
    back = cluster.api.get("v1", "pods", "default", name_of(second))
    back["metadata"]["labels"] = dict(second["metadata"]["labels"])
    cluster.api.put(back)
    await roll(cluster, 3)
    owned = [pod for pod in cluster.pods() if pod["metadata"].get("ownerReferences")]
    assert len(owned) == len(cluster.pods()) == 2


def test_recreate_believes_the_replica_sets_too() -> None:
    """A pod that was made a moment ago may not be in the cache yet."""
    assert recreate.old_pods_running(None, [{"status": {"replicas": 1}}], [])
    assert not recreate.old_pods_running(None, [{"status": {"replicas": 0}}], [])


async def test_terminating_pods_are_told_once_all_replica_sets_have_counted_theirs(cluster: Cluster) -> None:
    await cluster.start("deployment-controller")
    cluster.api.put(deployment(1))
    await cluster.settle()
    assert "terminatingReplicas" not in current(cluster)["status"]
    (one,) = cluster.api.objects("apps/v1", "replicasets")
    cluster.api.put({**one, "status": {"replicas": 1, "terminatingReplicas": 2}})
    await cluster.settle()
    assert current(cluster)["status"]["terminatingReplicas"] == 2


async def test_a_replica_set_has_the_whole_hash_in_its_name(cluster: Cluster) -> None:
    await cluster.start("deployment-controller")
    one = deployment(1)
    one["metadata"]["name"] = "w" * 250
    cluster.api.put(one)
    await cluster.settle()
    (made,) = cluster.api.objects("apps/v1", "replicasets")
    digest = made["metadata"]["labels"]["pod-template-hash"]
    assert name_of(made) == "w" * (252 - len(digest)) + "-" + digest
