"""Pods that need new kubelets go to them."""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import copy
from tests.unit.scheduler.builders import make_node, make_pod


async def test_a_pod_waits_for_a_node_that_knows_what_it_needs(start: Any) -> None:
    old = make_node("a")
    pod = make_pod("web", hostNetwork=True, hostUsers=False)
    async with start(old, pod, make_pod("plain")) as cluster:
        await cluster.until(lambda: cluster.node_of("plain") == "a")
        await cluster.until(lambda: cluster.condition("web"))
        assert "1 node(s) didn't match Pod's required features" in cluster.condition("web")["message"]
        upgraded = copy(old)
        upgraded["status"]["declaredFeatures"] = ["UserNamespacesHostNetworkSupport"]
        cluster.api.put(upgraded)
        await cluster.until(lambda: cluster.node_of("web") == "a")
