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


async def test_a_pod_that_has_ended_is_deleted_once(clock: FakeClock) -> None:
    """Until the news of it arrives here, another pod may have its name, on another node: 403."""
    leaving = {"deletionTimestamp": "2030-01-01T00:00:00Z", "finalizers": ["example.com/slow"]}
    ended, other = make_pod(metadata=leaving), make_pod(name="b", uid="b")
    api = FakeAPI(ended, other)
    manager = StatusManager(
        api.client(), clock, newest={"uid-1": ended, "b": other}.get, may_delete=lambda pod: True
    )
    sending = asyncio.ensure_future(manager.run())
    try:
        manager.set(ended, ended["status"])
        await _until(lambda: bool(api.actions))
        manager.set(ended, ended["status"])
        for phase in (
            "Running",
            "Succeeded",
        ):  # when both are told, whatever was asked before them has had its turn
            manager.set(other, {"phase": phase})
            await _until(lambda: manager.is_told("b"))
    finally:
        sending.cancel()
    assert [action.verb for action in api.actions] == ["delete", "patch", "patch"]


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():  # noqa: ASYNC110  the sender tells us nothing
            await asyncio.sleep(0)
