"""When the node is not fit for pods."""

from __future__ import annotations

import asyncio

from kubarium.component_base.clock import FakeClock
from kubelet.node.health import HealthCheck
from kubelet.pleg import PLEG
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.interface import RuntimeCondition, Unavailable


class Runtime(FakeRuntime):
    """One that may be away, and says what the test wants."""

    away = False
    said: tuple[RuntimeCondition, ...] = (RuntimeCondition("RuntimeReady", True),)

    async def conditions(self) -> list[RuntimeCondition]:
        if self.away:
            raise Unavailable("connection refused")
        return list(self.said)


async def test_a_runtime_may_be_silent_for_half_a_minute(clock: FakeClock) -> None:
    runtime = Runtime(clock)
    check = HealthCheck(runtime, clock, pleg=str, shutdown=str)
    runtime.away = True
    untold = ["container runtime status check may not have completed yet"]
    assert (await check.look()).complaints() == untold
    await clock.advance(60)
    assert (await check.look()).complaints() == untold
    runtime.away = False
    assert (await check.look()).complaints() == []
    runtime.away = True
    await clock.advance(29)
    assert (await check.look()).complaints() == []
    await clock.advance(1)
    assert (await check.look()).complaints() == ["container runtime is down"]
    runtime.away = False
    assert (await check.look()).complaints() == []


async def test_what_the_runtime_complains_of_is_told(clock: FakeClock) -> None:
    runtime = Runtime(clock)
    runtime.said = (RuntimeCondition("NetworkReady", False, "NetworkPluginNotReady", "no network"),)
    check = HealthCheck(runtime, clock, pleg=str, shutdown=str)
    text = "NetworkReady=false reason:NetworkPluginNotReady message:no network"
    assert (await check.look()).complaints() == [f"container runtime network not ready: {text}"]


async def test_a_list_that_is_not_renewed_is_not_healthy(clock: FakeClock) -> None:
    pleg = PLEG(FakeRuntime(clock), clock, lambda uid: None)
    assert pleg.complaint() == "PLEG is not healthy: pleg has yet to be successful"
    await pleg.relist()
    await clock.advance(180)
    assert pleg.complaint() == ""
    await clock.advance(5.5)
    text = "PLEG is not healthy: pleg was last seen active 3m5.5s ago; threshold is 3m0s"
    assert pleg.complaint() == text
    await asyncio.wait_for(pleg.ready(), 60)
