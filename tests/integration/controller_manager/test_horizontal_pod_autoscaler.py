"""An autoscaler with real scale subresources; the metrics API is played by a custom resource of the same shape."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kubarium.apimachinery import conditions, errors, time
from kubarium.apimachinery.object import Object, labels_of, name_of
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager.world import World, workload

METRICS: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "pods.metrics.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, stands in for the metrics API"},
    },
    "spec": {
        "group": "metrics.k8s.io",
        "scope": "Namespaced",
        "names": {
            "plural": "pods",
            "singular": "podmetrics",
            "kind": "PodMetrics",
            "listKind": "PodMetricsList",
        },
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                },
            }
        ],
    },
}


@pytest.fixture
async def metrics(world: World) -> AsyncIterator[None]:
    definitions = world.resource("apiextensions.k8s.io/v1", "customresourcedefinitions")
    await definitions.create(METRICS)

    async def served() -> bool:
        await world.list("metrics.k8s.io/v1beta1", "pods")
        return True

    await world.until(served)
    yield
    await definitions.delete("pods.metrics.k8s.io")


async def report(world: World, cpu: str) -> None:
    """Every pod uses that much."""
    resource = world.resource("metrics.k8s.io/v1beta1", "pods")
    later = time.format_time(RealClock().now() + timedelta(minutes=5))
    for pod in await world.pods():
        usage = {"timestamp": later, "window": "60s", "containers": [{"name": "main", "usage": {"cpu": cpu}}]}
        metadata = {"name": name_of(pod), "namespace": world.namespace, "labels": labels_of(pod)}
        obj = {"apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": metadata, **usage}
        try:
            await resource.create(obj)
        except errors.AlreadyExists:
            await resource.patch(name_of(pod), usage, world.namespace)


async def test_load_makes_a_deployment_grow(world: World, metrics: None) -> None:
    deployment = workload("Deployment", replicas=2)
    deployment["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    await world.create(deployment)

    async def ready() -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        return (found.get("status") or {}).get("readyReplicas") == 2

    await world.until(ready, kubelet=True)
    await report(world, "150m")
    target = {"type": "Utilization", "averageUtilization": 50}
    await world.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 1,
                "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
    )

    async def grown() -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        scaler = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
        limited = conditions.find((scaler.get("status") or {}).get("conditions"), "ScalingLimited")
        return bool(found["spec"]["replicas"] == 5 and limited)

    await world.until(grown)
    found = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
    assert conditions.is_true(found, "AbleToScale") and conditions.is_true(found, "ScalingActive")
    limited = conditions.find(found["status"]["conditions"], "ScalingLimited")
    assert limited and (limited["status"], limited["reason"]) == ("True", "TooManyReplicas")
    current = found["status"]["currentMetrics"][0]["resource"]["current"]
    assert current == {"averageUtilization": 150, "averageValue": "150m"}
    await world.told(
        "SuccessfulRescale",
        "New size: 5; reason: cpu resource utilization (percentage of request) above target",
    )
