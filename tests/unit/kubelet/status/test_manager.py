from __future__ import annotations

import asyncio
from collections.abc import Callable

from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import FakeClock
from kubelet.status.manager import StatusManager
from tests.unit.kubelet.making import make_container, make_pod


async def test_nobody_learns_that_a_pod_has_ended_while_something_of_it_runs(clock: FakeClock) -> None:
    pod = {**make_pod(make_container()), "status": {"phase": "Running"}}
    api = FakeAPI(pod)
    (pod,) = api.objects("v1", "pods")
    running = True
    manager = StatusManager(
        api.client(),
        clock,
        newest=lambda uid: api.objects("v1", "pods")[0],
        may_delete=lambda pod: False,
        may_run=lambda uid: running,
    )
    sending = asyncio.ensure_future(manager.run())
    try:
        manager.set(pod, {"phase": "Failed", "reason": "DeadlineExceeded", "podIP": "10.0.0.1"})
        await _until(lambda: "podIP" in api.objects("v1", "pods")[0]["status"])
        assert api.objects("v1", "pods")[0]["status"]["phase"] == "Running"
        assert not manager.is_told(pod["metadata"]["uid"])

        running = False
        manager.look_again(pod["metadata"]["uid"])
        await _until(lambda: api.objects("v1", "pods")[0]["status"]["phase"] == "Failed")
        assert api.objects("v1", "pods")[0]["status"]["reason"] == "DeadlineExceeded"
        await _until(lambda: manager.is_told(pod["metadata"]["uid"]))
    finally:
        sending.cancel()


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110  the sender tells us nothing
            await asyncio.sleep(0)
