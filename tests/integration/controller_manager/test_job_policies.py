"""Stories about jobs that end early, late, or index by index."""

from __future__ import annotations

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object, annotations_of, is_deleting, name_of
from tests.integration.controller_manager.world import World, exited
from tests.integration.controller_manager.world import job as plain_job


def job(**spec: object) -> Object:
    return plain_job(completionMode="Indexed", **spec)


def index_of(pod: Object) -> int:
    return int(annotations_of(pod)["batch.kubernetes.io/job-completion-index"])


async def ended(world: World, type: str) -> bool:
    return conditions.is_true(await world.get("batch/v1", "jobs", "work"), type)


async def why(world: World, type: str) -> tuple[str, str]:
    """Reason and message of a condition."""
    found = conditions.find((await world.get("batch/v1", "jobs", "work"))["status"]["conditions"], type)
    assert found is not None
    return found["reason"], found["message"]


async def test_each_index_has_its_own_limit(world: World) -> None:
    await world.create(job(completions=4, parallelism=2, backoffLimitPerIndex=1))

    def odd_ones_fail(pod: Object) -> str:
        return "Failed" if index_of(pod) % 2 else "Succeeded"

    await world.until(lambda: ended(world, "Failed"), kubelet=True, finish=odd_ones_fail)
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1,3")
    assert (status["succeeded"], status["failed"]) == (2, 4)  # each odd one was tried twice
    assert await why(world, "Failed") == ("FailedIndexes", "Job has failed indexes")


async def test_an_exit_code_can_give_an_index_up(world: World) -> None:
    rules = [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}]
    policy = {"rules": rules}
    await world.create(job(completions=2, parallelism=2, backoffLimitPerIndex=3, podFailurePolicy=policy))

    async def two() -> bool:
        return len(await world.pods()) == 2

    await world.until(two)
    for pod in await world.pods():
        await world.report(name_of(pod), **exited(0 if index_of(pod) else 42))
    await world.until(lambda: ended(world, "Failed"), kubelet=True)
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("1", "0")
    assert (status["succeeded"], status["failed"]) == (1, 1)
    assert await why(world, "Failed") == ("FailedIndexes", "Job has failed indexes")


async def test_a_disruption_can_be_forgiven(world: World) -> None:
    rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    policy = {"rules": rules}
    await world.create(job(completions=1, parallelism=1, backoffLimit=0, podFailurePolicy=policy))

    async def runs() -> bool:
        return [pod["status"].get("phase") for pod in await world.pods()] == ["Running"]

    await world.until(runs, kubelet=True)
    (pod,) = await world.pods()
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name_of(pod)}}
    pods = world.resource("v1", "pods")
    await pods.create(eviction, world.namespace, name=name_of(pod), subresource="eviction")
    evicted = await pods.get(name_of(pod), world.namespace)
    found = conditions.find(evicted["status"]["conditions"], "DisruptionTarget")
    assert is_deleting(evicted) and found is not None
    assert (found["reason"], found["message"]) == ("EvictionByEvictionAPI", "Eviction API: evicting")
    await world.report(name_of(pod), phase="Failed")
    await world.until(lambda: ended(world, "Complete"), kubelet=True, finish="Succeeded")
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    assert (status["succeeded"], status.get("failed")) == (1, None)


async def test_a_success_policy_may_want_all(world: World) -> None:
    policy = {"rules": [{"succeededIndexes": "0-1"}]}
    await world.create(job(completions=2, parallelism=2, successPolicy=policy))
    await world.until(lambda: ended(world, "Complete"), kubelet=True, finish="Succeeded")
    assert await why(world, "SuccessCriteriaMet") == ("SuccessPolicy", "Matched rules at index 0")
    assert (await why(world, "Complete"))[0] == "SuccessPolicy"
    assert (await world.get("batch/v1", "jobs", "work"))["status"]["completedIndexes"] == "0,1"


async def test_too_many_failed_indexes_end_the_job(world: World) -> None:
    await world.create(job(completions=10, parallelism=10, backoffLimitPerIndex=0, maxFailedIndexes=1))

    def low_ones_fail(pod: Object) -> str:
        return "Failed" if index_of(pod) < 3 else ""

    await world.until(lambda: ended(world, "Failed"), kubelet=True, finish=low_ones_fail)
    condition = conditions.find(
        (await world.get("batch/v1", "jobs", "work"))["status"]["conditions"], "Failed"
    )
    assert condition and condition["reason"] == "MaxFailedIndexesExceeded"


async def test_a_job_succeeds_when_its_leader_does(world: World) -> None:
    policy = {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]}
    await world.create(job(completions=3, parallelism=3, successPolicy=policy))

    def leader_succeeds(pod: Object) -> str:
        return "Succeeded" if index_of(pod) == 0 else ""

    await world.until(lambda: ended(world, "Complete"), kubelet=True, finish=leader_succeeds)
    status = (await world.get("batch/v1", "jobs", "work"))["status"]
    condition = conditions.find(status["conditions"], "SuccessCriteriaMet")
    assert condition and (condition["reason"], condition["message"]) == (
        "SuccessPolicy",
        "Matched rules at index 0",
    )
    assert status["completedIndexes"] == "0"


async def test_an_exit_code_can_end_the_job_at_once(world: World) -> None:
    rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]
    await world.create(job(completions=2, parallelism=2, backoffLimit=100, podFailurePolicy={"rules": rules}))

    async def two() -> bool:
        return len(await world.pods()) == 2

    await world.until(two)
    victim = next(pod for pod in await world.pods() if index_of(pod) == 0)
    name = victim["metadata"]["name"]
    await world.report(name, **exited(3))
    await world.until(lambda: ended(world, "Failed"), kubelet=True)
    condition = conditions.find(
        (await world.get("batch/v1", "jobs", "work"))["status"]["conditions"], "Failed"
    )
    assert condition and condition["reason"] == "PodFailurePolicy"
    assert condition["message"] == (
        f"Container main for pod {world.namespace}/{name} failed with exit code 3 matching FailJob rule at index 0"
    )


async def test_a_lost_pod_is_claimed_again(world: World) -> None:
    await world.create(job(completions=1, parallelism=1))

    async def one() -> bool:
        return len(await world.pods()) == 1

    await world.until(one)
    (pod,) = await world.pods()
    name = pod["metadata"]["name"]
    await world.patch("v1", "pods", name, {"metadata": {"ownerReferences": None}})

    async def owned(wanted: bool) -> bool:
        metadata = (await world.get("v1", "pods", name))["metadata"]
        tracked = "batch.kubernetes.io/job-tracking" in (metadata.get("finalizers") or [])
        return bool(metadata.get("ownerReferences")) is wanted and tracked is wanted

    await world.until(lambda: owned(True))
    await world.patch("v1", "pods", name, {"metadata": {"labels": None}})
    await world.until(lambda: owned(False))


async def test_a_job_deleted_in_the_foreground_lets_its_pods_go(world: World) -> None:
    await world.create(job(completions=2, parallelism=2))

    async def both_run() -> bool:
        return len(await world.list("v1", "pods")) == 2

    async def all_gone() -> bool:
        return not await world.list("v1", "pods") and not await world.list("batch/v1", "jobs")

    await world.until(both_run, kubelet=True)
    jobs = world.client.resource("batch/v1", "jobs")
    await jobs.delete("work", world.namespace, propagation_policy="Foreground")
    await world.until(all_gone, kubelet=True)
