"""What the runtime's list says of pods is told when their workers do not know it yet."""

from __future__ import annotations

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.pleg import PLEG
from kubelet.runtime import interface, state
from kubelet.runtime.fake import FakeRuntime


class Listed:
    """A runtime with one pod, and what is told of it."""

    def __init__(self, clock: FakeClock) -> None:
        self.runtime = FakeRuntime(clock)
        self.told: list[str] = []
        self.pleg = PLEG(self.runtime, clock, self.told.append)

    async def start(self) -> None:
        sandbox = {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}}
        labels = {interface.POD_UID: "u1"}
        container = {"metadata": {"name": "main"}, "image": {"image": "busybox"}, "labels": labels}
        sandbox_id = await self.runtime.run_sandbox(sandbox)
        await self.runtime.start_container(
            await self.runtime.create_container(sandbox_id, container, sandbox)
        )

    async def seen(self) -> state.PodState:
        return await state.read(self.runtime, "u1")

    async def list(self) -> list[str]:
        """What one more list makes it tell."""
        self.told.clear()
        await self.pleg.relist()
        return self.told


@pytest.fixture
async def listed(clock: FakeClock) -> Listed:
    listed = Listed(clock)
    assert await listed.list() == []
    await listed.start()
    return listed


async def test_what_is_new_is_told_once(listed: Listed) -> None:
    assert await listed.list() == ["u1"]
    assert await listed.list() == []


async def test_what_its_worker_has_seen_is_not_told(listed: Listed) -> None:
    listed.pleg.seen(await listed.seen())
    assert listed.pleg.knows("u1") and listed.pleg.name_of("u1") == ("default", "web")
    assert listed.pleg.containers_by_state()["running"] == 1
    assert await listed.list() == []


async def test_what_differs_from_what_its_worker_has_seen_is_told(listed: Listed) -> None:
    before = await listed.seen()
    listed.runtime.finish("u1", "main")
    listed.pleg.seen(before)  # it looked, and the container ended before it could say so
    assert await listed.list() == ["u1"]
    await listed.runtime.remove_container(before.containers[0].id)
    listed.pleg.seen(before)
    assert await listed.list() == ["u1"]
