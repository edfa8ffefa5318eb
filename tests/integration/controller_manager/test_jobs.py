"""Stories about jobs that count to their end."""

from __future__ import annotations

import pytest

from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, is_deleting, name_of
from tests.integration.controller_manager.world import World, job, readiness


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
    elsewhere = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}}
    with pytest.raises(errors.Invalid, match=r"spec\.template: .*field is immutable"):
        await world.patch("batch/v1", "jobs", "work", elsewhere)
    await world.patch("batch/v1", "jobs", "work", {"spec": {"suspend": True}})

    async def at_rest() -> bool:
        status = (await world.get("batch/v1", "jobs", "work"))["status"]
        return await suspended("True", 0) and not status.get("active")

    await world.until(at_rest, kubelet=True)
    await world.patch("batch/v1", "jobs", "work", elsewhere)
    assert not (await world.get("batch/v1", "jobs", "work"))["status"].get("failed")


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


async def test_restarts_on_the_spot_count_as_failures(world: World) -> None:
    """As many as the limit allows are not told of; one more ends the job."""
    spec = job(backoffLimit=2)
    spec["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"
    await world.create(spec)

    async def runs() -> bool:
        return [pod["status"].get("phase") for pod in await world.pods()] == ["Running"]

    await world.until(runs, kubelet=True)
    (pod,) = await world.pods()

    async def restarted(count: int) -> None:
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        one = {
            "name": "main",
            "image": "x",
            "imageID": "",
            "ready": True,
            "restartCount": count,
            "state": running,
        }
        await world.report(name_of(pod), containerStatuses=[one])

    async def ready(count: int) -> bool:
        status = (await world.get("batch/v1", "jobs", "work"))["status"]
        return (status.get("active"), status.get("ready"), status.get("failed")) == (1, count, None)

    await restarted(1)
    await world.report(
        name_of(pod), conditions=[readiness(False)]
    )  # the job counts this, and so has seen the restart
    await world.until(lambda: ready(0))
    await restarted(2)

    async def failed() -> bool:
        found = await world.get("batch/v1", "jobs", "work")
        one = conditions.find(found["status"].get("conditions"), "Failed")
        text = "Job has reached the specified backoff limit"
        return one is not None and (one["reason"], one["message"]) == ("BackoffLimitExceeded", text)

    await world.until(failed, kubelet=True)


async def test_a_job_ends_at_its_deadline(world: World) -> None:
    await world.create(job(activeDeadlineSeconds=1))

    async def failed() -> bool:
        found = await world.get("batch/v1", "jobs", "work")
        one = conditions.find(found["status"].get("conditions"), "Failed")
        text = "Job was active longer than specified deadline"
        return one is not None and (one["reason"], one["message"]) == ("DeadlineExceeded", text)

    await world.until(failed, kubelet=True)
    await world.told("DeadlineExceeded", "Job was active longer than specified deadline")
    assert not await world.pods() or all(map(is_deleting, await world.pods()))
