"""Plugins may hold a pod that has a node already, let it go, or send it back."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object
from scheduler.framework.interface import Code, CycleState, PermitPlugin, Status
from scheduler.framework.pod_info import PodInfo
from tests.unit.scheduler.builders import make_node, make_pod


class Gatekeeper(PermitPlugin):
    """Holds every pod."""

    name = "Gatekeeper"
    seconds = 3600.0

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        return Status(Code.WAIT, seconds=self.seconds)


def _hold(cluster: Any, seconds: float = 3600.0) -> None:
    framework = cluster.app.profiles["default-scheduler"]
    keeper = Gatekeeper(framework.handle, {})
    keeper.seconds = seconds
    framework.permit_plugins.append(keeper)


def _waiting(cluster: Any) -> list[Any]:
    return list(cluster.app.profiles["default-scheduler"].handle.waiting)


async def test_a_pod_waits_until_it_is_allowed(start: Any) -> None:
    async with start(make_node("a")) as cluster:
        _hold(cluster)
        cluster.api.put(make_pod("web"))
        await cluster.until(lambda: _waiting(cluster))
        await cluster.until(lambda: _status(cluster, "web").get("nominatedNodeName") == "a")
        assert not cluster.node_of("web")
        (waiting,) = _waiting(cluster)
        assert waiting.pending_plugins == ["Gatekeeper"] and waiting.node == "a"
        waiting.allow("Gatekeeper")
        await cluster.until(lambda: cluster.node_of("web") == "a")
        assert not _waiting(cluster)


async def test_one_that_is_rejected_goes_back(start: Any) -> None:
    async with start(make_node("a")) as cluster:
        _hold(cluster)
        cluster.api.put(make_pod("web"))
        await cluster.until(lambda: _waiting(cluster))
        _waiting(cluster)[0].reject("Gatekeeper", "not today")
        await cluster.until(
            lambda: cluster.condition("web").get("message") == "0/1 nodes are available: 1 not today."
        )
        assert cluster.condition("web")["reason"] == "Unschedulable"
        assert not cluster.node_of("web") and not _waiting(cluster)


async def test_nobody_waits_longer_than_the_plugin_said(start: Any) -> None:
    async with start(make_node("a")) as cluster:
        _hold(cluster, 0.05)
        cluster.api.put(make_pod("web"))
        reason = "rejected due to timeout after waiting 50ms at plugin Gatekeeper"
        text = f"0/1 nodes are available: 1 {reason}."
        await cluster.until(lambda: cluster.condition("web").get("message") == text)


def _status(cluster: Any, name: str) -> Object:
    return cluster.pod(name).get("status") or {}
