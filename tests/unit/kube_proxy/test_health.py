"""When the proxy calls itself healthy, and when its node is to get new connections."""

import orjson

from kubarium.component_base.clock import FakeClock
from kube_proxy.family import IPV4, IPV6
from kube_proxy.health import TO_BE_DELETED, ProxyHealth


async def ask(health: ProxyHealth) -> tuple[int, int]:
    return (await health.healthz({}))[0], (await health.livez({}))[0]


async def test_a_change_must_be_applied_in_time() -> None:
    clock = FakeClock()
    health = ProxyHealth(clock, patience=60.0)
    health.queued()
    await clock.advance(59)
    assert await ask(health) == (200, 200)
    health.queued()  # the oldest one counts
    await clock.advance(1)
    assert await ask(health) == (503, 503)
    body = orjson.loads((await health.livez({}))[2])
    assert body == {"lastUpdated": "2026-01-01T00:00:00Z", "currentTime": "2026-01-01T00:01:00Z"}
    health.queued(IPV6)
    health.applied(IPV4)
    assert await ask(health) == (200, 200)
    await clock.advance(61)  # now the second family is late
    assert await ask(health) == (503, 503)
    health.applied(IPV6)
    assert await ask(health) == (200, 200)


async def test_a_node_that_goes_away_is_alive_but_not_eligible() -> None:
    health = ProxyHealth(FakeClock(), patience=60.0)
    health.see({"metadata": {}, "spec": {"taints": [{"key": TO_BE_DELETED, "effect": "NoSchedule"}]}})
    assert await ask(health) == (503, 200)
    health.see({"metadata": {}, "spec": {}})
    assert await ask(health) == (200, 200)
    health.see({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
    assert await ask(health) == (503, 200)
    assert orjson.loads((await health.healthz({}))[2])["nodeEligible"] is False
