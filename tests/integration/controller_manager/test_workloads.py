"""Stories about workloads, against a real API server: nothing runs, a pretended kubelet reports that it does."""

from __future__ import annotations

import pytest

from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, annotations_of, labels_of, name_of
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager.world import World, template, workload


async def test_a_deployment_rolls_to_a_new_template_and_back(world: World) -> None:
    await world.create(workload("Deployment", replicas=3))

    async def complete(image: str, revision: str) -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        status, pods = found["status"], await world.pods("app=web")
        images = {pod["spec"]["containers"][0]["image"] for pod in pods}
        return (
            status.get("updatedReplicas") == status.get("availableReplicas") == status.get("replicas") == 3
            and images == {image}
            and annotations_of(found).get("deployment.kubernetes.io/revision") == revision
        )

    await world.until(lambda: complete("web:1", "1"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:2")}})
    await world.until(lambda: complete("web:2", "2"), kubelet=True)
    await world.patch("apps/v1", "deployments", "web", {"spec": {"template": template(image="web:1")}})
    await world.until(lambda: complete("web:1", "3"), kubelet=True)
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


async def test_a_replica_set_reports_what_a_quota_forbids(world: World) -> None:
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
    await world.create(workload("ReplicaSet", replicas=3))

    async def failing() -> bool:
        found = await world.get("apps/v1", "replicasets", "web")
        failure = conditions.find((found.get("status") or {}).get("conditions"), "ReplicaFailure")
        return (
            failure is not None
            and failure["reason"] == "FailedCreate"
            and "exceeded quota" in failure["message"]
        )

    await world.until(failing)
    await world.patch("apps/v1", "replicasets", "web", {"spec": {"replicas": 2}})

    async def well() -> bool:
        found = await world.get("apps/v1", "replicasets", "web")
        return not conditions.is_true(found, "ReplicaFailure") and found["status"]["replicas"] == 2

    await world.until(well)
    await world.until(lambda: counted("2"))
    (pod, *_) = await world.pods()
    await world.patch("apps/v1", "replicasets", "web", {"spec": {"replicas": 1}})
    await world.until(lambda: counted("1"), kubelet=True)
    assert pod


async def test_a_replica_set_adopts_and_releases(world: World) -> None:
    orphan = {"apiVersion": "v1", "kind": "Pod", **template(nodeName="somewhere")}
    orphan["metadata"] = {"name": "orphan", "labels": {"app": "web"}}
    await world.create(orphan)
    await world.create(workload("ReplicaSet", replicas=1))

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


async def test_a_replication_controller_keeps_its_pods(world: World) -> None:
    controller = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "old"},
        "spec": {"replicas": 2, "selector": {"app": "old"}, "template": template("old")},
    }
    await world.create(controller)

    async def ready(count: int) -> bool:
        found = await world.get("v1", "replicationcontrollers", "old")
        return (
            (found.get("status") or {}).get("readyReplicas", 0) == count == len(await world.pods("app=old"))
        )

    await world.until(lambda: ready(2), kubelet=True)
    await world.patch("v1", "replicationcontrollers", "old", {"spec": {"replicas": 1}})
    await world.until(lambda: ready(1), kubelet=True)


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
    first = await world.get("v1", "pods", "db-0")
    assert first["spec"]["hostname"] == "db-0" and first["spec"]["subdomain"] == "db"
    assert labels_of(first)["statefulset.kubernetes.io/pod-name"] == "db-0"
    assert labels_of(first)["apps.kubernetes.io/pod-index"] == "0"
    names = [name_of(one) for one in await world.list("v1", "persistentvolumeclaims")]
    assert names == ["data-db-0", "data-db-1"]
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"template": template("db", "web:2")}})
    await world.until(lambda: complete("web:2"), kubelet=True)
    await world.hears("SuccessfulCreate", "create Pod db-0 in StatefulSet db successful")
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"replicas": 0}})

    async def empty() -> bool:
        return not await world.pods("app=db")

    await world.until(empty, kubelet=True)
    assert len(await world.list("v1", "persistentvolumeclaims")) == 2


async def test_a_partition_holds_pods_back(world: World) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    await world.create(workload("StatefulSet", "db", 2, serviceName="db", updateStrategy=strategy))

    async def images(*wanted: str) -> bool:
        found = {name_of(p): p["spec"]["containers"][0]["image"] for p in await world.pods("app=db")}
        status = (await world.get("apps/v1", "statefulsets", "db")).get("status") or {}
        return found == {"db-0": wanted[0], "db-1": wanted[1]} and status.get("readyReplicas") == 2

    await world.until(lambda: images("web:1", "web:1"), kubelet=True)
    await world.patch("apps/v1", "statefulsets", "db", {"spec": {"template": template("db", "web:2")}})
    await world.until(lambda: images("web:1", "web:2"), kubelet=True)
    await world.resource("v1", "pods").delete("db-0", world.namespace)
    await world.until(lambda: images("web:1", "web:2"), kubelet=True)


async def test_a_daemon_set_follows_nodes(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    mark = {"for": world.namespace}
    for name in ("a", "b"):
        full = f"{world.namespace}-{name}"
        await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": full, "labels": mark}})
    await world.create(
        {
            **workload("DaemonSet", "agent", None),
            "spec": {
                "selector": {"matchLabels": {"app": "agent"}},
                "template": template("agent", nodeSelector=mark),
            },
        }
    )

    async def scheduled(count: int) -> bool:
        status = (await world.get("apps/v1", "daemonsets", "agent")).get("status") or {}
        pods = await world.pods("app=agent")
        return status.get("desiredNumberScheduled") == status.get("numberReady") == count == len(pods)

    try:
        await world.until(lambda: scheduled(2), kubelet=True)
        (pod, _) = await world.pods("app=agent")
        assert labels_of(pod)["controller-revision-hash"]
        keys = {one["key"] for one in pod["spec"]["tolerations"]}
        assert "node.kubernetes.io/unschedulable" in keys
        await nodes.patch(f"{world.namespace}-b", {"metadata": {"labels": {"for": None}}})
        await world.until(lambda: scheduled(1), kubelet=True)
        await world.patch(
            "apps/v1", "daemonsets", "agent", {"spec": {"template": template("agent", "web:2")}}
        )

        async def updated() -> bool:
            images = [p["spec"]["containers"][0]["image"] for p in await world.pods("app=agent")]
            status = (await world.get("apps/v1", "daemonsets", "agent"))["status"]
            return images == ["web:2"] and status.get("updatedNumberScheduled") == 1

        await world.until(updated, kubelet=True)
        assert len(await world.list("apps/v1", "controllerrevisions")) == 2
    finally:
        for name in ("a", "b"):
            await nodes.delete(f"{world.namespace}-{name}")


def job(name: str = "work", **spec: object) -> Object:
    pod = template(restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": pod, **spec},
    }


async def test_a_job_counts_each_pod_once(world: World) -> None:
    await world.create(job(completions=4, parallelism=2))

    async def done() -> bool:
        return conditions.is_true(await world.get("batch/v1", "jobs", "work"), "Complete")

    await world.until(done, kubelet=True, finish="Succeeded")
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    assert status["succeeded"] == 4 and not status.get("active") and status["completionTime"]
    assert conditions.find(status["conditions"], "SuccessCriteriaMet")
    pods = await world.pods()
    assert len(pods) == 4
    assert all(not pod["metadata"].get("finalizers") for pod in pods)
    await world.told("Completed", "Job completed")


async def test_an_indexed_job_gives_each_pod_a_number(world: World) -> None:
    await world.create(job(completions=5, parallelism=3, completionMode="Indexed"))

    async def done() -> bool:
        return conditions.is_true(await world.get("batch/v1", "jobs", "work"), "Complete")

    await world.until(done, kubelet=True, finish="Succeeded")
    assert (await world.get("batch/v1", "jobs", "work"))["status"]["completedIndexes"] == "0-4"
    hosts = sorted(pod["spec"]["hostname"] for pod in await world.pods())
    assert hosts == [f"work-{index}" for index in range(5)]


async def test_a_failing_job_stops_at_its_limit(world: World) -> None:
    await world.create(job(backoffLimit=0, ttlSecondsAfterFinished=3600))

    async def failed() -> bool:
        return conditions.is_true(await world.get("batch/v1", "jobs", "work"), "Failed")

    await world.until(failed, kubelet=True, finish="Failed")
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    condition = conditions.find(status["conditions"], "Failed")
    assert status["failed"] == 1 and condition and condition["reason"] == "BackoffLimitExceeded"
    await world.patch("batch/v1", "jobs", "work", {"spec": {"ttlSecondsAfterFinished": 0}})

    async def gone() -> bool:
        return not await world.list("batch/v1", "jobs")

    await world.until(gone, kubelet=True)


async def test_a_suspended_job_waits_and_resumes(world: World) -> None:
    await world.create(job(parallelism=2, completions=2, suspend=True))

    async def suspended(value: str, pods: int) -> bool:
        found = await world.get("batch/v1", "jobs", "work")
        condition = conditions.find((found.get("status") or {}).get("conditions"), "Suspended")
        return condition is not None and condition["status"] == value and len(await world.pods()) == pods

    await world.until(lambda: suspended("True", 0))
    await world.patch("batch/v1", "jobs", "work", {"spec": {"suspend": False}})
    await world.until(lambda: suspended("False", 2))
    await world.patch("batch/v1", "jobs", "work", {"spec": {"suspend": True}})
    await world.until(lambda: suspended("True", 0), kubelet=True)
    assert not (await world.get("batch/v1", "jobs", "work"))["status"].get("failed")


async def test_a_cron_job_starts_what_is_due(world: World) -> None:
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick"},
        "spec": {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": job()["spec"]},
        },
    }
    created = await world.create(cron)
    past = {"status": {"lastScheduleTime": "2020-01-01T00:00:00Z"}}
    await world.resource("batch/v1", "cronjobs").patch("tick", past, world.namespace, subresource="status")

    async def started() -> bool:
        found = await world.get("batch/v1", "cronjobs", "tick")
        return len((found.get("status") or {}).get("active") or []) == 1

    await world.until(started)
    (one,) = await world.list("batch/v1", "jobs")
    assert one["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    await world.hears("SuccessfulCreate", f"Created job {name_of(one)}")


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


async def test_jobs_of_others_are_left_alone(world: World) -> None:
    await world.create(job("theirs", managedBy="example.com/queue"))
    await world.create(job("ours"))

    async def done() -> bool:
        return conditions.is_true(await world.get("batch/v1", "jobs", "ours"), "Complete")

    await world.until(done, kubelet=True, finish="Succeeded")
    assert not (await world.get("batch/v1", "jobs", "theirs")).get("status")
    assert not await world.pods("batch.kubernetes.io/job-name=theirs")


async def test_a_job_succeeds_when_enough_indexes_do(world: World) -> None:
    policy = {"rules": [{"succeededCount": 1}]}
    await world.create(job(completions=2, parallelism=2, completionMode="Indexed", successPolicy=policy))

    async def made() -> bool:
        return len(await world.pods()) == 2

    await world.until(made)
    first, second = await world.pods()

    async def done() -> bool:
        return conditions.is_true(await world.get("batch/v1", "jobs", "work"), "Complete")

    def one_ends(pod: Object) -> str:
        return "Succeeded" if name_of(pod) == name_of(first) else ""

    await world.until(done, kubelet=True, finish=one_ends)
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    assert status["succeeded"] == 1 and status["terminating"] == status["ready"] == 0
    assert conditions.find(status["conditions"], "Complete")["reason"] == "SuccessPolicy"  # type: ignore[index]
    assert name_of(second) not in map(name_of, await world.pods())


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


async def test_a_failed_daemon_is_replaced(world: World) -> None:
    nodes = world.resource("v1", "nodes")
    name, mark = world.namespace, {"for": world.namespace}
    await nodes.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": mark}})
    daemon = workload("DaemonSet", "agent", None)
    daemon["spec"]["template"]["spec"]["nodeSelector"] = mark
    await world.create(daemon)

    async def one() -> bool:
        return len(await world.pods("app=agent")) == 1

    try:
        await world.until(one)
        (first,) = await world.pods("app=agent")
        await world.kubelet(finish="Failed")

        async def replaced() -> bool:
            found = await world.pods("app=agent")
            return len(found) == 1 and name_of(found[0]) != name_of(first)

        await world.until(replaced)
        await world.hears("FailedDaemonPod", name_of(first))
    finally:
        await nodes.delete(name)


async def test_a_pod_gets_the_claims_it_asks_for(world: World) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {
            "containers": [{"name": "c", "image": "x"}],
            "volumes": [
                {
                    "name": "scratch",
                    "ephemeral": {
                        "volumeClaimTemplate": {
                            "metadata": {"labels": {"kind": "scratch"}},
                            "spec": {
                                "accessModes": ["ReadWriteOnce"],
                                "resources": {"requests": {"storage": "1Gi"}},
                            },
                        }
                    },
                }
            ],
        },
    }
    created = await world.create(pod)

    async def claimed() -> bool:
        claim = await world.get("v1", "persistentvolumeclaims", "p-scratch")
        return bool(claim["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"])

    await world.until(claimed)
    await world.resource("v1", "pods").delete("p", world.namespace, grace_period_seconds=0)

    async def gone() -> bool:
        return not await world.list("v1", "persistentvolumeclaims")

    await world.until(gone)


async def test_a_replaced_cron_job_has_one_job_at_a_time(world: World) -> None:
    far = (RealClock().now().month + 5) % 12 + 1  # long ago, and not again while this test looks
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick"},
        "spec": {
            "schedule": f"0 0 1 {far} *",
            "concurrencyPolicy": "Replace",
            "jobTemplate": {"spec": job()["spec"]},
        },
    }
    await world.create(cron)
    earlier = {"status": {"lastScheduleTime": "2020-01-01T00:00:00Z"}}
    resource = world.resource("batch/v1", "cronjobs")

    async def started(than: str) -> bool:
        found = await world.list("batch/v1", "jobs")
        active = ((await world.get("batch/v1", "cronjobs", "tick")).get("status") or {}).get("active") or []
        return len(found) == len(active) == 1 and name_of(found[0]) != than

    await resource.patch("tick", earlier, world.namespace, subresource="status")
    await world.until(lambda: started(""))
    (first,) = await world.list("batch/v1", "jobs")

    await world.hears("SuccessfulCreate", f"Created job {name_of(first)}")
    assert not await world.events("UnexpectedJob")  # not even when the cache is late
    assert not await world.events("SuccessfulDelete")
    await resource.delete("tick", world.namespace, propagation_policy="Background")

    async def gone() -> bool:
        return not await world.list("batch/v1", "jobs") and not await world.pods()

    await world.until(gone, kubelet=True)
    assert name_of(first).startswith("tick-")
