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


async def fail(cluster: Cluster, index: str, **status: object) -> str:
    """Let the pod of an index fail; its name."""
    (pod,) = (pod for pod in running(cluster) if index_of(pod) == index)
    cluster.set_pod(pod, "Failed", ready=False)
    stored = cluster.api.get("v1", "pods", "default", pod["metadata"]["name"])
    stored["status"] |= status
    cluster.api.put(stored)
    await cluster.settle()
    return str(pod["metadata"]["name"])


def index_of(pod: Object) -> str:
    return str(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


def running(cluster: Cluster) -> list[Object]:
    return [
        pod for pod in cluster.pods() if pod.get("status", {}).get("phase") in (None, "Pending", "Running")
    ]


def failures_told(cluster: Cluster, index: str) -> tuple[str | None, str | None]:
    """What the running pod of an index says of those before it: how many counted, how many were ignored."""
    (pod,) = (pod for pod in running(cluster) if index_of(pod) == index)
    annotations = pod["metadata"]["annotations"]
    prefix = "batch.kubernetes.io/job-index"
    return annotations.get(f"{prefix}-failure-count"), annotations.get(f"{prefix}-ignored-failure-count")


async def test_a_failed_pod_stays_until_its_index_has_a_new_one_that_knows_of_it(cluster: Cluster) -> None:
    cluster.api.put(job(completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=3))
    await cluster.start("job-controller")
    cluster.run_pods()
    name = await fail(cluster, "0")
    failed = cluster.api.get("v1", "pods", "default", name)
    assert failed["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert "failed" not in cluster.api.get("batch/v1", "jobs", "default", "work")["status"]
    await cluster.settle(11)
    assert failures_told(cluster, "0") == ("1", None)
    assert not cluster.api.get("v1", "pods", "default", name)["metadata"].get("finalizers")
    assert cluster.api.get("batch/v1", "jobs", "default", "work")["status"]["failed"] == 1


async def test_ignored_failures_are_counted_apart_and_fail_no_index(cluster: Cluster) -> None:
    rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    policy = {"rules": [rule]}
    spec = {"completions": 1, "parallelism": 1, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    cluster.api.put(job(podFailurePolicy=policy, **spec))
    await cluster.start("job-controller")
    cluster.run_pods()
    await fail(cluster, "0", conditions=[{"type": "DisruptionTarget", "status": "True"}])
    await cluster.settle(11)
    assert failures_told(cluster, "0") == ("0", "1")
    cluster.run_pods()
    await cluster.settle()
    status = cluster.api.get("batch/v1", "jobs", "default", "work")["status"]
    assert "failedIndexes" not in status and "failed" not in status and status["active"] == 1


async def test_an_index_beyond_the_end_makes_room_for_one_that_waits(cluster: Cluster) -> None:
    """As many pods run as are wanted, but one of them is of no use any more."""
    cluster.api.put(job(completions=4, parallelism=4, completionMode="Indexed"))
    await cluster.start("job-controller")
    cluster.run_pods()
    await cluster.settle()
    await fail(cluster, "1")
    change(cluster, completions=3, parallelism=3)
    await cluster.settle(11)
    cluster.run_pods()
    await cluster.settle()
    assert sorted(map(index_of, running(cluster))) == ["0", "1", "2"]


async def test_a_long_name_leaves_room_for_the_index(cluster: Cluster) -> None:
    one = job(completions=1, parallelism=1, completionMode="Indexed")
    one["metadata"]["name"] = "w" * 61
    cluster.api.put(one)
    await cluster.start("job-controller")
    (pod,) = cluster.pods()
    assert pod["metadata"]["name"].startswith("w" * 55 + "-0-")
