"""Pods wait for their claims, and go where the devices are."""

from __future__ import annotations

from typing import Any

from tests.unit.scheduler.builders import make_node, make_pod


async def test_a_pod_goes_where_its_claim_was_allocated(start: Any) -> None:
    claim = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": "gpu", "namespace": "default"},
        "spec": {},
    }
    pod = make_pod("web", resourceClaims=[{"name": "device", "resourceClaimName": "gpu"}])
    async with start(make_node("a"), make_node("b"), claim, pod) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert "cannot allocate all claims" in cluster.condition("web")["message"]
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}
        selector = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        cluster.api.put(claim | {"status": {"allocation": {"nodeSelector": selector}}})
        await cluster.until(lambda: cluster.node_of("web") == "b")
        stored = cluster.api.get("resource.k8s.io/v1", "resourceclaims", "default", "gpu")
        assert stored["status"]["reservedFor"][0]["name"] == "web"
