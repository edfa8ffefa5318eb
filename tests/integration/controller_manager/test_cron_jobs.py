"""Stories about cron jobs. Nobody turns the clock: what is due is said to have been started last long ago."""

from __future__ import annotations

from functools import partial

from kubarium.apimachinery.object import Object, name_of, status_of
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager.world import LONG_AGO, World, job


def on_day(day: int) -> str:
    """A schedule that was last due months ago, and will not be again while this test looks."""
    far = (RealClock().now().month + 5) % 12 + 1
    return f"0 0 {day} {far} *"


async def cron_job(world: World, name: str, **spec: object) -> Object:
    """A cron job that was due long ago."""
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": name}}
    wish = {"schedule": on_day(1), "jobTemplate": {"spec": job()["spec"]}, **spec}
    created = await world.create({**cron, "spec": wish})
    past = {"status": {"lastScheduleTime": LONG_AGO}}
    await world.resource("batch/v1", "cronjobs").patch(name, past, world.namespace, subresource="status")
    return created


async def jobs_of(world: World, name: str) -> list[str]:
    return [
        name_of(one) for one in await world.list("batch/v1", "jobs") if name_of(one).startswith(f"{name}-")
    ]


async def active(world: World, name: str, count: int) -> bool:
    """Does it know of exactly these jobs, and are there no others?"""
    known = status_of(await world.get("batch/v1", "cronjobs", name)).get("active") or []
    found = await jobs_of(world, name)
    return len(found) == count and sorted(one["name"] for one in known) == found


async def test_a_cron_job_starts_what_is_due(world: World) -> None:
    created = await cron_job(world, "tick", schedule="* * * * *", concurrencyPolicy="Forbid")
    await world.until(lambda: active(world, "tick", 1))
    (one,) = await world.list("batch/v1", "jobs")
    assert one["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]
    await world.hears("SuccessfulCreate", f"Created job {name_of(one)}")


async def test_jobs_of_one_cron_job_wait_for_each_other_or_do_not(world: World) -> None:
    for policy in ("Allow", "Forbid", "Replace"):
        await cron_job(world, policy.lower(), concurrencyPolicy=policy)
    await cron_job(world, "idle", suspend=True)
    for name in ("allow", "forbid", "replace"):
        await world.until(partial(active, world, name, 1))
    first = {name: (await jobs_of(world, name))[0] for name in ("allow", "forbid", "replace")}
    for name in first:
        await world.hears("SuccessfulCreate", f"Created job {first[name]}")
    assert not await world.events("UnexpectedJob")  # not even when the cache is late
    assert not await world.events("SuccessfulDelete")
    for name in first:  # the day after was due, too
        await world.patch("batch/v1", "cronjobs", name, {"spec": {"schedule": on_day(2)}})

    async def replaced() -> bool:
        return await active(world, "replace", 1) and await jobs_of(world, "replace") != [first["replace"]]

    await world.until(lambda: active(world, "allow", 2))
    await world.until(replaced, kubelet=True)
    await world.hears("SuccessfulDelete", f"Deleted job {first['replace']}")
    text = "Not starting job because prior execution is running and concurrency policy is Forbid"
    await world.hears("JobAlreadyActive", text)
    assert await jobs_of(world, "forbid") == [first["forbid"]]

    async def next_one() -> bool:
        names = await jobs_of(world, "forbid")
        return len(names) == 2 and await world.events("SawCompletedJob") != []

    def of_the_first(pod: Object) -> str:
        return "Succeeded" if name_of(pod).startswith(first["forbid"]) else ""

    waiting = [pod for pod in await world.pods() if name_of(pod).startswith(first["forbid"])]
    for pod in waiting:
        await world.report(name_of(pod), phase="Succeeded")
    await world.until(next_one, kubelet=True, finish=of_the_first)

    assert not await jobs_of(world, "idle")
    await world.patch("batch/v1", "cronjobs", "idle", {"spec": {"suspend": False}})
    await world.until(lambda: active(world, "idle", 1))
    await world.delete("batch/v1", "cronjobs", "allow", propagation_policy="Background")

    async def gone() -> bool:
        return not await jobs_of(world, "allow")

    await world.until(gone, kubelet=True)
