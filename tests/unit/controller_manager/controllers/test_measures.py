"""What controllers measure of their work."""

from __future__ import annotations

from controller_manager import metrics
from kubarium.apimachinery.object import Object
from tests.unit.controller_manager.cluster import Cluster


def pod(number: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"p{number}",
            "namespace": "default",
            "labels": {"app": "web"},
            "uid": f"u{number}",
        },
        "spec": {"nodeName": "here", "containers": [{"name": "main"}]},
        "status": {
            "phase": "Running",
            "podIP": f"10.0.0.{number}",
            "podIPs": [{"ip": f"10.0.0.{number}"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def service() -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "selector": {"app": "web"},
            "ports": [{"port": 80}],
            "ipFamilies": ["IPv4"],
            "trafficDistribution": "PreferSameNode",
        },
    }


async def test_slices_are_counted(cluster: Cluster) -> None:
    for number in range(1, 4):
        cluster.api.put(pod(number))
    cluster.api.put(service())
    await cluster.start("endpointslice-controller", max_endpoints_per_slice=2)
    await cluster.until(lambda: dict(metrics.SLICES.read()) == {(): 2.0})
    assert dict(metrics.ENDPOINTS.read()) == {(): 3.0}
    assert dict(metrics.DESIRED.read()) == {(): 2.0}
    assert dict(metrics.DISTRIBUTIONS.read()) == {("PreferSameNode",): 1.0}
    assert cluster.manager is not None
    await cluster.manager.client.resource("v1", "services").delete("web", "default")
    await cluster.until(lambda: dict(metrics.ENDPOINTS.read()) == {(): 0.0})


async def test_looks_of_autoscalers_are_counted(cluster: Cluster) -> None:
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "none"},
            "maxReplicas": 3,
        },
    }
    before = metrics.AUTOSCALER_RECONCILIATIONS.value(("none", "internal"))
    cluster.api.put(autoscaler)
    await cluster.start("horizontal-pod-autoscaler-controller")
    await cluster.until(lambda: metrics.AUTOSCALER_RECONCILIATIONS.value(("none", "internal")) > before)
    assert metrics.AUTOSCALER_SECONDS.count(("none", "internal")) > 0
