"""Claims for devices: made for pods, held by them, given back, with a cache that is late."""

from __future__ import annotations

from typing import Any

from kubarium.api.resource.resource_claim import FINALIZER
from kubarium.apimachinery.object import Object, name_of
from tests.unit.controller_manager.cluster import Cluster

API = "resource.k8s.io/v1"
ALLOCATION = {"devices": {"results": []}}


def pod(*claims: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"containers": [{"name": "main"}], "resourceClaims": list(claims), **spec},
    }


def claim(*held_by: Object, **metadata: Any) -> Object:
    consumers = [{"resource": "pods", "name": "web", "uid": one["metadata"]["uid"]} for one in held_by]
    return {
        "apiVersion": API,
        "kind": "ResourceClaim",
        "metadata": {"name": "gpu", "namespace": "default", "finalizers": [FINALIZER], **metadata},
        "spec": {},
        "status": {"allocation": ALLOCATION, **({"reservedFor": consumers} if consumers else {})},
    }


def template() -> Object:
    return {
        "apiVersion": API,
        "kind": "ResourceClaimTemplate",
        "metadata": {"name": "gpus", "namespace": "default"},
        "spec": {"spec": {}},
    }


def stored(cluster: Cluster) -> Object:
    return cluster.api.get(API, "resourceclaims", "default", "gpu")


NAMED = {"name": "device", "resourceClaimName": "gpu"}
FROM_TEMPLATE = {"name": "device", "resourceClaimTemplateName": "gpus"}


async def test_a_pod_with_a_node_of_its_own_choice_holds_its_claim(cluster: Cluster) -> None:
    cluster.api.put(claim())
    await cluster.start("resourceclaim-controller")
    made = cluster.api.put(pod(NAMED, nodeName="node-1"))
    await cluster.settle()
    consumer = {"resource": "pods", "name": "web", "uid": made["metadata"]["uid"]}
    assert stored(cluster)["status"]["reservedFor"] == [consumer]


async def test_a_claim_stays_with_a_pod_that_the_cache_does_not_know_yet(cluster: Cluster) -> None:
    await cluster.start("resourceclaim-controller")
    cluster.api.hold_back("pods")
    made = cluster.api.put(pod(NAMED))
    cluster.api.put(claim(made))
    await cluster.settle()
    assert stored(cluster)["status"]["allocation"] == ALLOCATION
    cluster.api.let_through("pods")
    cluster.api.remove("v1", "pods", "default", "web")
    await cluster.settle()
    assert "allocation" not in stored(cluster)["status"] and not stored(cluster)["metadata"]["finalizers"]


async def test_the_scheduler_may_protect_a_claim_before_it_allocates(cluster: Cluster) -> None:
    """The finalizer comes first, in a write of its own; and who is to hold it may come later."""
    await cluster.start("resourceclaim-controller")
    cluster.api.put({**claim(), "status": {}})
    await cluster.settle()
    assert stored(cluster)["metadata"]["finalizers"] == [FINALIZER]
    cluster.api.put({**stored(cluster), "status": {"allocation": ALLOCATION}})
    await cluster.settle()
    assert stored(cluster)["status"]["allocation"] == ALLOCATION


async def test_a_claim_that_is_deleted_unused_gives_its_devices_back(cluster: Cluster) -> None:
    await cluster.start("resourceclaim-controller")
    cluster.api.put(claim(deletionTimestamp="2026-01-01T00:00:00Z"))
    await cluster.until(lambda: not cluster.api.objects(API, "resourceclaims"))


async def test_a_generated_claim_that_somebody_deletes_is_made_again(cluster: Cluster) -> None:
    cluster.api.put(template())
    await cluster.start("resourceclaim-controller")
    cluster.api.put(pod(FROM_TEMPLATE))
    await cluster.settle()
    (first,) = cluster.api.objects(API, "resourceclaims")
    cluster.api.remove(API, "resourceclaims", "default", name_of(first))
    await cluster.settle()
    (second,) = cluster.api.objects(API, "resourceclaims")
    told = cluster.api.get("v1", "pods", "default", "web")["status"]["resourceClaimStatuses"]
    assert told == [{"name": "device", "resourceClaimName": name_of(second)}]
    assert name_of(second) != name_of(first)


async def test_no_second_claim_is_made_while_the_first_is_not_in_the_cache(cluster: Cluster) -> None:
    cluster.api.put(template())
    await cluster.start("resourceclaim-controller")
    cluster.api.hold_back("resourceclaims")
    cluster.api.put(pod(FROM_TEMPLATE))
    await cluster.settle()
    untold = cluster.api.get("v1", "pods", "default", "web")
    cluster.api.put({**untold, "status": {"phase": "Pending"}})
    await cluster.settle()
    assert len(cluster.api.objects(API, "resourceclaims")) == 1
    cluster.api.let_through("resourceclaims")
    await cluster.settle()
    assert len(cluster.api.objects(API, "resourceclaims")) == 1


async def test_a_missing_template_is_told_in_upstreams_words(cluster: Cluster) -> None:
    await cluster.start("resourceclaim-controller")
    cluster.api.put(pod(FROM_TEMPLATE))
    await cluster.settle()
    text = 'resource claim template "gpus": resourceclaimtemplate.resource.k8s.io "gpus" not found'
    assert cluster.events("FailedResourceClaimCreation") == [f"PodResourceClaim device: {text}"]
