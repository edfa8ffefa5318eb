"""Who may still believe to lead."""

from __future__ import annotations

import asyncio

import pytest

from kubarium.client.fake import FakeAPI
from kubarium.client.leader_election import LeaderElector, LeadershipLost
from kubarium.component_base.clock import RealClock

FROZEN = 30.0  # seconds


class StandingClock(RealClock):
    """The third second lasts very long, as for a process that was stopped and let go on."""

    def __init__(self) -> None:
        self._time, self._sleeps = 0.0, 0

    def monotonic(self) -> float:
        return self._time

    async def sleep(self, seconds: float) -> None:
        self._sleeps += 1
        self._time += FROZEN if self._sleeps == 3 else seconds
        await asyncio.sleep(0)


async def test_a_leader_that_stood_still_longer_than_its_lease_asks_nobody_whether_it_still_leads() -> None:
    server, clock = FakeAPI(), StandingClock()
    elector = LeaderElector(server.client(), "x", "me", clock)
    led: list[bool] = []

    async def lead() -> None:
        led.append(True)
        await asyncio.Event().wait()

    with pytest.raises(LeadershipLost):
        await elector.run(lead)
    assert led == [True]
    written = [action.verb for action in server.actions if action.resource == "leases"]
    assert written == ["create", "update", "update", "update"]  # twice renewed, then given back
    assert server.get("coordination.k8s.io/v1", "leases", "kube-system", "x")["spec"]["holderIdentity"] == ""
