"""Autoscalers with real scale subresources.

The resource metrics API is played by a custom resource of the same shape, the other two by an aggregated server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from kubarium.apimachinery import conditions, errors, time
from kubarium.apimachinery.object import Object, labels_of, name_of
from kubarium.component_base.clock import RealClock
from tests.integration.controller_manager import metrics_server
from tests.integration.controller_manager.metrics_server import MetricsServer
from tests.integration.controller_manager.world import World, workload
from tests.integration.running import ApiServer

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
                "maxReplicas": 3,
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            },
        }
    )

    async def grown() -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        scaler = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
        limited = conditions.find((scaler.get("status") or {}).get("conditions"), "ScalingLimited")
        return bool(found["spec"]["replicas"] == 3 and limited)

    await world.until(grown)
    found = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
    assert conditions.is_true(found, "AbleToScale") and conditions.is_true(found, "ScalingActive")
    limited = conditions.find(found["status"]["conditions"], "ScalingLimited")
    assert limited and (limited["status"], limited["reason"]) == ("True", "TooManyReplicas")
    current = found["status"]["currentMetrics"][0]["resource"]["current"]
    assert current == {"averageUtilization": 150, "averageValue": "150m"}
    await world.told(
        "SuccessfulRescale",
        "New size: 3; reason: cpu resource utilization (percentage of request) above target",
    )


@pytest.fixture
async def adapter(world: World, api_server: ApiServer) -> AsyncIterator[MetricsServer]:
    async with metrics_server.serving(world, api_server) as server:
        yield server


def value(amount: str, name: str = "") -> Object:
    now = time.format_time(RealClock().now())
    found: Object = {"value": amount, "timestamp": now}
    return {**found, "describedObject": {"kind": "Pod", "name": name}} if name else found


async def scaled(world: World, size: int) -> None:
    """Wait until the Deployment has this size and all of its pods run."""

    async def so() -> bool:
        found = await world.get("apps/v1", "deployments", "web")
        status = found.get("status") or {}
        return found["spec"]["replicas"] == status.get("readyReplicas", 0) == status.get("replicas") == size

    await world.until(so, kubelet=True)


async def says(world: World, type: str, reason: str, message: str) -> None:
    """Wait until a condition of the autoscaler says this."""

    async def so() -> bool:
        found = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
        condition = conditions.find((found.get("status") or {}).get("conditions"), type)
        return condition is not None and (condition["reason"], condition["message"]) == (reason, message)

    await world.until(so)


FOUND = "the HPA was able to successfully calculate a replica count from "
FAILED = "the HPA was unable to compute the replica count: "
QUEUE = "&LabelSelector{MatchLabels:map[string]string{queue: mail,},MatchExpressions:[]LabelSelectorRequirement{},}"


async def test_custom_and_external_metrics_move_a_deployment(world: World, adapter: MetricsServer) -> None:
    await world.create(workload("Deployment", replicas=2))
    await scaled(world, 2)
    adapter.values["pods/*/hits"] = [value("20", name_of(pod)) for pod in await world.pods()]
    hits = {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}
    spec: Object = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 10,
        "metrics": [{"type": "Pods", "pods": hits}],
    }
    await world.create(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": spec,
        }
    )
    await says(world, "ScalingActive", "ValidMetricFound", FOUND + "pods metric hits")
    await scaled(world, 4)
    await world.hears("SuccessfulRescale", "New size: 4; reason: pods metric hits above target")

    async def patch(**changes: object) -> None:
        await world.patch("autoscaling/v2", "horizontalpodautoscalers", "web", {"spec": changes})

    thing = {"apiVersion": "v1", "kind": "Service", "name": "front"}
    load = {
        "metric": {"name": "load"},
        "describedObject": thing,
        "target": {"type": "Value", "value": "10"},
    }
    adapter.values["services/front/load"] = [value("100")]
    slow = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}]}
    await patch(metrics=[{"type": "Object", "object": load}], behavior={"scaleUp": slow})
    await says(world, "ScalingActive", "ValidMetricFound", FOUND + "Service metric load")
    await scaled(world, 5)
    text = "the desired replica count is increasing faster than the maximum scale rate"
    await says(world, "ScalingLimited", "ScaleUpLimit", text)

    adapter.values["queue"] = [value("10"), value("2500m")]
    metric = {"name": "queue", "selector": {"matchLabels": {"queue": "mail"}}}
    queue = {"metric": metric, "target": {"type": "AverageValue", "averageValue": "5"}}
    await patch(metrics=[{"type": "External", "external": queue}])
    await says(world, "ScalingActive", "ValidMetricFound", f"{FOUND}external metric queue({QUEUE})")
    text = "recent recommendations were higher than current one, applying the highest recent recommendation"
    await says(world, "AbleToScale", "ScaleDownStabilized", text)
    assert ("queue", "queue=mail") in adapter.queries
    await patch(behavior={"scaleDown": {"stabilizationWindowSeconds": 0}})
    await scaled(world, 3)  # 12.5 for 5 each
    await world.hears("SuccessfulRescale", "New size: 3; reason: All metrics below target")
    tolerant = {"stabilizationWindowSeconds": 0, "tolerance": "500m"}
    adapter.values["backlog"] = [value("8")]  # 8 / 15 is within a half of one: nothing happens
    metric["name"] = "backlog"  # with the tolerance at one moment: who sees one sees both
    await patch(metrics=[{"type": "External", "external": queue}], behavior={"scaleDown": tolerant})

    async def looked_again() -> bool:
        found = await world.get("autoscaling/v2", "horizontalpodautoscalers", "web")
        current = found["status"]["currentMetrics"][0]["external"]["current"]["averageValue"]
        return bool(current == "2667m" and found["status"]["desiredReplicas"] == 3)

    await world.until(looked_again)
    del adapter.values["backlog"]
    reason = f"unable to get external metric {world.namespace}/backlog/{QUEUE}: unable to fetch metrics from external"
    reason += " metrics API: the server could not find the metric backlog"
    await says(world, "ScalingActive", "FailedGetExternalMetric", FAILED + reason)
    wrapped = (
        "invalid metrics (1 invalid out of 1), first error is: failed to get backlog external metric value: "
    )
    await world.hears(
        "FailedComputeMetricsReplicas", f"{wrapped}failed to get backlog external metric: {reason}"
    )


async def test_two_autoscalers_for_the_same_pods_do_nothing(world: World, adapter: MetricsServer) -> None:
    await world.create(workload("Deployment", replicas=1))
    await scaled(world, 1)
    adapter.values["queue"] = [value("100")]
    source = {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "10"}}
    for name in ("web", "other"):
        await world.create(
            {
                "apiVersion": "autoscaling/v2",
                "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": name},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                    "minReplicas": 1,
                    "maxReplicas": 1,
                    "metrics": [{"type": "External", "external": source}],
                },
            }
        )
    both = f"[{world.namespace}/other {world.namespace}/web]"
    text = f"pods by selector app=web are controlled by multiple HPAs: {both}"
    await says(world, "ScalingActive", "AmbiguousSelector", text)
    await world.hears("AmbiguousSelector", text)
