"""Pods get the devices that they claim, and go where these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubarium.apimachinery.object import Object, copy
from tests.unit.scheduler.builders import make_node, make_pod
from tests.unit.scheduler.device_builders import (
    DRIVER,
    V1,
    allocated,
    make_claim,
    make_class,
    make_device,
    make_slice,
    request,
)


def claimant(name: str, *claims: str, **spec: Any) -> Object:
    wanted = [{"name": f"d{number}", "resourceClaimName": claim} for number, claim in enumerate(claims)]
    return make_pod(name, resourceClaims=wanted, **spec)


def gpus(node: str, *names: str) -> Object:
    return make_slice(f"of-{node}", *[make_device(name) for name in names], node=node)


def claim_in(cluster: Any, name: str) -> Callable[[], Object]:
    return lambda: cluster.api.get(V1, "resourceclaims", "default", name)


async def test_a_pod_goes_where_its_claim_was_allocated(start: Any) -> None:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}
    claim = allocated(make_claim("gpu"), "x")
    claim["status"]["allocation"]["nodeSelector"] = {
        "nodeSelectorTerms": [{"matchExpressions": [expression]}]
    }
    claim["status"]["reservedFor"] = [{"resource": "pods", "name": "other", "uid": "other"}]
    async with start(make_node("a"), make_node("b"), claim, claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")
        users = claim_in(cluster, "gpu")()["status"]["reservedFor"]
        assert [user["name"] for user in users] == ["other", "web"]


async def test_a_pod_gets_devices_on_a_node_that_has_them(start: Any) -> None:
    objects = [make_node("a"), make_node("b"), make_class(), make_claim("gpu"), gpus("b", "x")]
    async with start(*objects, claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")
        claim = claim_in(cluster, "gpu")()
        assert claim["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
        results = claim["status"]["allocation"]["devices"]["results"]
        assert results == [{"request": "r", "driver": DRIVER, "pool": "b", "device": "x"}]
        assert claim["status"]["allocation"]["allocationTimestamp"]
        assert claim["status"]["reservedFor"][0]["name"] == "web"


async def test_a_pod_waits_for_devices_that_others_hold(start: Any) -> None:
    held = allocated(make_claim("held"), "x")
    objects = [make_node("a"), make_class(), make_claim("gpu"), held, gpus("a", "x")]
    async with start(*objects, claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["message"] == (
            "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )
        cluster.api.remove(V1, "resourceclaims", "default", "held")
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_a_pod_waits_for_its_class_and_for_slices(start: Any) -> None:
    async with start(make_node("a"), make_claim("gpu"), claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert "request r: device class gpu does not exist" in cluster.condition("web")["message"]
        cluster.api.put(make_class())
        await cluster.until(lambda: "cannot allocate all claims" in cluster.condition("web")["message"])
        cluster.api.put(gpus("a", "x"))
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_a_pod_is_not_tried_before_its_claim_is_made(start: Any) -> None:
    template = [{"name": "gpu", "resourceClaimTemplateName": "gpus"}]
    pod = make_pod("web", resourceClaims=template, uid="uid-of-web")
    async with start(make_node("a"), make_class(), gpus("a", "x"), pod, make_pod("plain")) as cluster:
        await cluster.until(lambda: cluster.node_of("plain"))
        assert not cluster.condition("web")
        claim = make_claim("web-gpu")
        claim["metadata"]["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": "uid-of-web", "controller": True}
        ]
        cluster.api.put(claim)
        told = copy(cluster.pod("web"))
        told["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": "web-gpu"}]
        cluster.api.put(told)
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_a_pod_behind_a_gate_waits_for_its_claim_afterwards(start: Any) -> None:
    pod = claimant("web", "gpu", schedulingGates=[{"name": "example.com/wait"}])
    async with start(make_node("a"), make_class(), gpus("a", "x"), pod, make_pod("plain")) as cluster:
        await cluster.until(lambda: cluster.node_of("plain"))
        opened = copy(cluster.pod("web"))
        del opened["spec"]["schedulingGates"]
        cluster.api.put(opened)
        cluster.api.put(make_pod("later"))
        await cluster.until(lambda: cluster.node_of("later"))
        cluster.api.put(make_claim("gpu"))
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_pods_share_a_claim_on_its_node(start: Any) -> None:
    objects = [make_node("a"), make_node("b"), make_class(), make_claim("gpu"), gpus("a", "x")]
    pods = [claimant(f"web-{number}", "gpu") for number in range(3)]
    async with start(*objects, *pods) as cluster:
        await cluster.until(lambda: all(cluster.node_of(f"web-{number}") == "a" for number in range(3)), 15.0)
        users = claim_in(cluster, "gpu")()["status"]["reservedFor"]
        assert sorted(user["name"] for user in users) == ["web-0", "web-1", "web-2"]


async def test_the_last_device_goes_to_one_pod_only(start: Any) -> None:
    objects = [make_node("a"), make_class(), gpus("a", "x", "y"), *[make_claim(f"gpu-{n}") for n in range(4)]]
    pods = [claimant(f"web-{number}", f"gpu-{number}") for number in range(4)]
    async with start(*objects, *pods) as cluster:
        names = [f"web-{number}" for number in range(4)]
        await cluster.until(lambda: all(cluster.node_of(n) or cluster.condition(n) for n in names))
        assert sum(1 for name in names if cluster.node_of(name)) == 2


async def test_an_unused_claim_elsewhere_is_given_back(start: Any) -> None:
    claim = allocated(make_claim("gpu"), "x")
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}
    claim["status"]["allocation"]["nodeSelector"] = {"nodeSelectorTerms": [term]}
    async with start(make_node("b"), make_class(), claim, gpus("b", "y"), claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b", 15.0)
        results = claim_in(cluster, "gpu")()["status"]["allocation"]["devices"]["results"]
        assert results[0]["device"] == "y"


async def test_a_wrong_expression_is_an_error_that_is_told(start: Any) -> None:
    wrong = make_claim("gpu", request("r", "gpu", 'device.attributes["none"].x == 1'))
    async with start(make_node("a"), make_class(), wrong, gpus("a", "x"), claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["reason"] == "SchedulerError"
        assert "CEL runtime error: no such key: x" in cluster.condition("web")["message"]
        await cluster.until(lambda: cluster.events("FailedScheduling"))


async def test_the_node_that_meets_the_first_alternative_is_preferred(start: Any) -> None:
    wishes = [
        {"name": "best", "deviceClassName": "big"},
        {"name": "else", "deviceClassName": "gpu"},
    ]
    claim = make_claim("gpu", {"name": "r", "firstAvailable": wishes})
    big = make_class("big", f'has(device.attributes["{DRIVER}"].big)')
    slices = [gpus(node, "x") for node in "abc"]
    slices.append(make_slice("of-d", make_device("y", attributes={"big": True}), node="d"))
    nodes = [make_node(name) for name in "abcd"]
    async with start(*nodes, *slices, make_class(), big, claim, claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "d")


async def test_drivers_that_want_it_are_waited_for(start: Any) -> None:
    device = make_device("x", bindingConditions=["ready"], bindingFailureConditions=["broken"])
    objects = [make_node("a"), make_class(), make_slice("s", device, node="a"), make_claim("gpu")]
    async with start(*objects, claimant("web", "gpu")) as cluster:
        await cluster.until(lambda: (claim_in(cluster, "gpu")().get("status") or {}).get("reservedFor"))
        assert not cluster.node_of("web")
        told = copy(claim_in(cluster, "gpu")())
        condition = {"type": "ready", "status": "True"}
        told["status"]["devices"] = [
            {"driver": DRIVER, "pool": "a", "device": "x", "conditions": [condition]}
        ]
        cluster.api.put(told)
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_devices_stand_for_extended_resources(start: Any) -> None:
    device_class = make_class("gpu", extendedResourceName="example.com/gpu")
    nodes = [make_node("a"), make_node("b")]
    pod = make_pod("web", uid="uid-of-web")
    pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1", "example.com/gpu": "2"}}
    async with start(*nodes, device_class, gpus("b", "x", "y"), pod) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")
        told = cluster.pod("web")["status"]["extendedResourceClaimStatus"]
        assert told["requestMappings"] == [
            {
                "containerName": "main",
                "resourceName": "example.com/gpu",
                "requestName": "container-0-request-1",
            }
        ]
        claim = claim_in(cluster, told["resourceClaimName"])()
        assert claim["metadata"]["annotations"] == {"resource.kubernetes.io/extended-resource-claim": "true"}
        assert len(claim["status"]["allocation"]["devices"]["results"]) == 2


async def test_a_device_plugin_goes_before_devices_and_classes_have_a_resource_of_their_own(
    start: Any,
) -> None:
    plugin = make_node("a", resources={"example.com/gpu": "1"})
    device_class = make_class("gpu", extendedResourceName="example.com/gpu")
    first = make_pod("first")
    first["spec"]["containers"][0]["resources"] = {"requests": {"example.com/gpu": "1"}}
    own = make_pod("own")
    own["spec"]["containers"][0]["resources"] = {
        "requests": {"deviceclass.resource.kubernetes.io/gpu": "1"},
    }
    async with start(plugin, device_class, first) as cluster:
        await cluster.until(lambda: cluster.node_of("first") == "a")
        assert "extendedResourceClaimStatus" not in cluster.pod("first")["status"]
        cluster.api.put(own)
        await cluster.until(lambda: cluster.condition("own"))
        assert "cannot allocate all claims" in cluster.condition("own")["message"]
        cluster.api.put(gpus("a", "x"))
        await cluster.until(lambda: cluster.node_of("own") == "a")
