"""A job on the fake API server, with a cache that is late."""

from __future__ import annotations

from controller_manager import metrics
from kubarium.apimachinery.object import Object
from kubarium.client.fake import Action
from tests.unit.controller_manager.cluster import Cluster, template


def job(**spec: object) -> Object:
    pod = template(restartPolicy="Never")
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod, **spec},
    }


async def test_a_pod_is_counted_once_although_the_cache_shows_late_that_it_was_counted(
    cluster: Cluster,
) -> None:
    """The news that a counted pod has lost its finalizer comes while successors of other pods are being created."""
    cluster.api.put(job(completions=8, parallelism=4))
    await cluster.start("job-controller")
    first, *others = cluster.pods()

    def delay(action: Action, obj: Object | None) -> None:
        if action[:2] == ("create", "pods"):
            cluster.api.let_through("pods")
            while others:
                cluster.set_pod(others.pop(), "Succeeded")
        elif action[:2] == ("patch", "pods"):
            cluster.api.hold_back("pods")

    cluster.api.refuse = delay  # looks on and refuses nothing
    cluster.set_pod(first, "Succeeded")
    await cluster.settle()
    status = cluster.api.get("batch/v1", "jobs", "default", "work")["status"]
    assert status["succeeded"] == 4 and not status["uncountedTerminatedPods"]
    assert len(cluster.pods()) == 8


def indexed(cluster: Cluster) -> dict[str, str]:
    """Index of each pod that is not on its way out, by its phase."""
    return {
        pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"]: pod["status"]["phase"]
        for pod in cluster.pods()
    }


def change(cluster: Cluster, **spec: object) -> None:
    stored = cluster.api.get("batch/v1", "jobs", "default", "work")
    stored["spec"] |= spec
    cluster.api.put(stored)


async def test_an_indexed_job_that_shrinks_gives_up_its_last_indexes(cluster: Cluster) -> None:
    cluster.api.put(job(completions=4, parallelism=4, completionMode="Indexed"))
    await cluster.start("job-controller")
    cluster.run_pods()
    await cluster.settle()
    change(cluster, completions=2, parallelism=2)
    await cluster.settle()
    cluster.run_pods()
    await cluster.settle()
    assert indexed(cluster) == {"0": "Running", "1": "Running"}
    assert "failed" not in cluster.api.get("batch/v1", "jobs", "default", "work")["status"]


async def test_a_suspended_job_has_no_start_time(cluster: Cluster) -> None:
    cluster.api.put(job(completions=1, parallelism=1))
    await cluster.start("job-controller")
    assert cluster.api.get("batch/v1", "jobs", "default", "work")["status"]["startTime"]
    change(cluster, suspend=True)
    await cluster.settle()
    assert "startTime" not in cluster.api.get("batch/v1", "jobs", "default", "work")["status"]
    change(cluster, suspend=False)
    await cluster.settle()
    assert cluster.api.get("batch/v1", "jobs", "default", "work")["status"]["startTime"]


async def test_what_jobs_do_is_measured(cluster: Cluster) -> None:
    finished = ("NonIndexed", "succeeded", "")
    before = metrics.JOBS_FINISHED.value(finished)
    counted = metrics.JOB_PODS_FINISHED.value(("NonIndexed", "succeeded"))
    cluster.api.put(job(completions=2, parallelism=2))
    await cluster.start("job-controller")
    for pod in cluster.pods():
        cluster.set_pod(pod, "Succeeded")
    await cluster.settle()
    assert metrics.JOBS_FINISHED.value(finished) == before + 1
    assert metrics.JOB_PODS_FINISHED.value(("NonIndexed", "succeeded")) == counted + 2
    assert metrics.JOB_SYNCS.value(("NonIndexed", "success", "reconciling")) > 0


async def test_pods_that_wait_to_be_counted_and_failures_that_a_policy_judges_are_measured(
    cluster: Cluster,
) -> None:
    held = {event: metrics.JOB_PODS_HELD.value((event,)) for event in ("add", "delete")}
    judged = metrics.JOB_FAILURES_HANDLED.value(("Ignore",))
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    cluster.api.put(job(completions=2, parallelism=2, podFailurePolicy={"rules": [rule]}))
    await cluster.start("job-controller")
    first, second = cluster.pods()
    cluster.set_pod(first, "Succeeded")
    gone = [{"type": "DisruptionTarget", "status": "True"}]
    cluster.api.put({**second, "status": {"phase": "Failed", "conditions": gone}})
    await cluster.settle()
    for event, before in held.items():
        assert metrics.JOB_PODS_HELD.value((event,)) == before + 2
    assert metrics.JOB_FAILURES_HANDLED.value(("Ignore",)) == judged + 1
