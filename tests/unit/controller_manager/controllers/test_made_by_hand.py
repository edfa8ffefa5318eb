"""What people made by hand where a controller would make its own."""

from __future__ import annotations

from kubarium.apimachinery.object import Object, name_of
from tests.unit.controller_manager.cluster import Cluster, template

REFERENCE = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": "tick", "controller": True}


async def test_a_job_made_by_hand_from_a_cron_job_is_told_and_holds_nothing_up(cluster: Cluster) -> None:
    made = {"name": "by-hand", "namespace": "default", "uid": "by-hand", "ownerReferences": [REFERENCE]}
    cluster.api.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": {}})
    cron: Object = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "default", "uid": "tick"},
        "spec": {
            "schedule": "* * * * *",
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"template": template()}},
        },
        "status": {"lastScheduleTime": "2025-12-31T23:58:00Z"},
    }
    cluster.api.put(cron)
    await cluster.start("cronjob-controller")
    await cluster.settle()
    text = "Saw a job that the controller did not create or forgot: by-hand"
    assert set(cluster.events("UnexpectedJob")) == {text}
    (cron,) = cluster.api.objects("batch/v1", "cronjobs")
    (own,) = (one for one in cluster.api.objects("batch/v1", "jobs") if name_of(one) != "by-hand")
    assert [one["name"] for one in cron["status"]["active"]] == [name_of(own)]


async def test_a_stateful_set_asks_again_for_a_name_that_a_foreign_pod_has(cluster: Cluster) -> None:
    foreign = {"name": "db-0", "namespace": "default"}
    cluster.api.put({"apiVersion": "v1", "kind": "Pod", "metadata": foreign, "spec": {"containers": []}})
    selector = {"matchLabels": {"app": "db"}}
    cluster.api.put(
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db", "namespace": "default", "uid": "db", "generation": 1},
            "spec": {"replicas": 1, "serviceName": "db", "selector": selector, "template": template("db")},
        }
    )
    await cluster.start("statefulset-controller")
    await cluster.settle()
    assert [pod["metadata"].get("ownerReferences") for pod in cluster.pods()] == [None]
    cluster.api.remove("v1", "pods", "default", "db-0")
    await cluster.settle(seconds=120)
    (pod,) = cluster.pods()
    assert pod["metadata"]["ownerReferences"][0]["uid"] == "db"
