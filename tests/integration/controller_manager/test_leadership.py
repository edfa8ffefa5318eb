"""Two controller managers: one works, the other waits and takes over when the first one's power is cut."""

from __future__ import annotations

from pathlib import Path

from kubarium.client.rest import Client
from tests.integration.controller_manager.world import ControllerManager, World
from tests.integration.running import ApiServer

LEASE = "test-leader"
FLAGS = (
    f"--leader-elect-resource-name={LEASE}", "--controllers=ttl-controller", "--leader-elect-lease-duration=8s",
    "--leader-elect-renew-deadline=6s", "--leader-elect-retry-period=200ms",
)  # fmt: skip


async def test_the_second_takes_over(api_server: ApiServer, client: Client, tmp_path: Path) -> None:
    world = World(client, "kube-system")
    managers = [ControllerManager(tmp_path / name, api_server, *FLAGS) for name in ("one", "two")]

    async def holder() -> str:
        lease = await world.get("coordination.k8s.io/v1", "leases", LEASE)
        return lease["spec"].get("holderIdentity") or ""

    async def led() -> bool:
        return bool(await holder())

    def leads(manager: ControllerManager) -> bool:
        said = (manager.folder / "controller-manager.log").read_text()
        return manager.child is not None and manager.child.alive and "became leader" in said

    try:
        for manager in managers:
            manager.start()
        await world.until(led)

        async def exactly_one() -> bool:
            return sum(map(leads, managers)) == 1

        await world.until(exactly_one)
        first, second = sorted(managers, key=leads, reverse=True)
        before = await holder()
        assert first.child is not None and second.child is not None
        if not second.child.alive:  # it was the leader until this machine stood still for too long
            second.start()
        first.child.kill()

        async def taken_over() -> bool:
            return leads(second) and await holder() not in ("", before)

        await world.until(taken_over)
        lease = await world.get("coordination.k8s.io/v1", "leases", LEASE)
        assert lease["spec"]["leaseTransitions"] >= 1
    finally:
        for manager in managers:
            manager.stop()
        await world.resource("coordination.k8s.io/v1", "leases").delete(LEASE, "kube-system")
