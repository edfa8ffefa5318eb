"""Nodes, routes and load balancers of a cloud in memory, on a fake API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloud_controller_manager.app import UnknownController, canonical, run_controllers
from cloud_controller_manager.controllers.node import UNINITIALIZED, addresses_of
from cloud_controller_manager.controllers.node_lifecycle import SHUT_DOWN
from cloud_controller_manager.options import Options
from cloud_controller_manager.provider import Instance
from kubarium.apimachinery.object import Object, name_of
from kubarium.client.fake import FakeAPI
from kubarium.component_base.clock import Clock, FakeClock


class Cloud:
    """A provider with all abilities; a test says what goes wrong."""

    name = "test"

    def __init__(self) -> None:
        self.instances = self.load_balancers = self.routes = self
        self.gone: set[str] = set()
        self.off: set[str] = set()
        self.addresses = (("InternalIP", "10.0.0.1"),)
        self.routed: dict[str, str] = {}
        self.full = False
        self.balanced: dict[str, list[str]] = {}

    async def find(self, node: Object) -> Instance | None:
        return (
            None if name_of(node) in self.gone else Instance("test://1", "small", self.addresses, "z1", "r")
        )

    async def is_shut_down(self, node: Object) -> bool:
        return name_of(node) in self.off

    def remember(self, service: Object) -> None: ...

    async def watch(self, clock: Clock) -> None:
        await asyncio.Event().wait()

    async def ensure(self, obj: Object, detail: Any) -> Any:
        if isinstance(detail, str):
            return self._route(obj, detail)
        self.balanced[name_of(obj)] = sorted(name_of(node) for node in detail)
        return ["203.0.113.1"]

    def _route(self, node: Object, cidr: str) -> str:
        if self.full:
            raise ConnectionError("the table is full")
        self.routed[name_of(node)] = cidr
        return cidr

    async def delete(self, obj: Object) -> None:
        self.balanced.pop(name_of(obj), None)
        self.routed.pop(name_of(obj), None)


class World:
    """The cloud, the API server, and the controllers between them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.api, self.cloud = FakeAPI(clock=self.clock), Cloud()
        work = run_controllers(self.api.client(), Options(), self.cloud, self.clock)
        self.task = asyncio.ensure_future(work)

    async def settle(self, seconds: float = 0.0) -> None:
        for _ in range(25):
            for _ in range(20):
                await asyncio.sleep(0)
            await self.clock.advance(0.01)
        await self.clock.advance(seconds)
        for _ in range(200):
            await asyncio.sleep(0)

    def put_node(self, name: str = "a", *, ready: bool = True, taints: Sequence[Object] = ()) -> None:
        condition = {"type": "Ready", "status": "True" if ready else "Unknown"}
        self.api.put(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name},
                "spec": {"podCIDR": "10.1.0.0/24", "taints": list(taints)},
                "status": {"conditions": [condition], "addresses": [{"type": "Hostname", "address": name}]},
            }
        )

    def node(self, name: str = "a") -> Object:
        return self.api.get("v1", "nodes", "", name)

    def taints(self) -> set[str]:
        return {taint["key"] for taint in self.node()["spec"].get("taints") or []}

    def reasons(self) -> set[str]:
        return {event["reason"] for event in self.api.objects("v1", "events")}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    found = World()
    yield found
    found.task.cancel()
    await asyncio.wait([found.task])


async def test_a_new_node_waits_for_what_the_cloud_knows(world: World) -> None:
    world.put_node(taints=[{"key": UNINITIALIZED, "effect": "NoSchedule"}])
    await world.settle()
    node = world.node()
    assert world.taints() == set() and node["spec"]["providerID"] == "test://1"
    assert node["metadata"]["labels"]["topology.kubernetes.io/zone"] == "z1"
    assert [each["address"] for each in node["status"]["addresses"]] == ["10.0.0.1", "a"]


async def test_addresses_are_looked_after(world: World) -> None:
    world.put_node()
    await world.settle()
    world.cloud.addresses = (("InternalIP", "10.0.0.2"),)
    await world.settle(301)
    await world.settle()
    assert world.node()["status"]["addresses"][0] == {"type": "InternalIP", "address": "10.0.0.2"}


def test_the_address_that_the_kubelet_was_told_to_use_is_the_only_one_of_its_type() -> None:
    instance = Instance(
        "", "", (("InternalIP", "10.0.0.1"), ("InternalIP", "10.9.0.1"), ("ExternalIP", "1.2.3.4"))
    )
    node = {"metadata": {"annotations": {"alpha.kubernetes.io/provided-node-ip": "10.9.0.1"}}}
    assert [each["address"] for each in addresses_of(node, instance)] == ["10.9.0.1", "1.2.3.4"]
    both = replace(
        instance, addresses=(*instance.addresses, ("InternalIP", "fd00::9"), ("InternalIP", "fd00::1"))
    )
    node["metadata"]["annotations"]["alpha.kubernetes.io/provided-node-ip"] = "fd00::1,10.9.0.1"
    assert [each["address"] for each in addresses_of(node, both)] == ["fd00::1", "10.9.0.1", "1.2.3.4"]


async def test_a_machine_that_is_off_is_tainted_until_it_is_on(world: World) -> None:
    world.cloud.off.add("a")
    world.put_node(ready=False)
    await world.settle()
    assert world.taints() == {SHUT_DOWN}
    world.cloud.off.clear()
    await world.settle(6)
    assert world.taints() == set()


async def test_a_machine_that_is_gone_takes_its_node_with_it(world: World) -> None:
    world.cloud.gone.add("a")
    world.put_node(ready=False)
    await world.settle()
    assert world.api.objects("v1", "nodes") == [] and "DeletingNode" in world.reasons()


async def test_routes_come_are_tried_again_and_go(world: World) -> None:
    world.cloud.full = True
    world.put_node()
    await world.settle()

    def condition() -> Object:
        return next(c for c in world.node()["status"]["conditions"] if c["type"] == "NetworkUnavailable")

    assert (condition()["status"], condition()["reason"]) == ("True", "NoRouteCreated")
    assert "FailedToCreateRoute" in world.reasons()
    world.cloud.full = False
    await world.settle(11)
    assert world.cloud.routed == {"a": "10.1.0.0/24"}
    await world.settle()
    assert (condition()["status"], condition()["reason"]) == ("False", "RouteCreated")
    world.api.remove("v1", "nodes", "", "a")
    await world.settle()
    assert world.cloud.routed == {}


async def test_a_load_balancer_follows_the_nodes(world: World) -> None:
    world.put_node("a")
    world.put_node("b")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}}
    world.api.put({**service, "spec": {"type": "LoadBalancer"}})
    await world.settle()
    assert world.cloud.balanced == {"web": ["a", "b"]}
    world.put_node("b", taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}])
    await world.settle()
    assert world.cloud.balanced == {"web": ["a"]} and "UpdatedLoadBalancer" in world.reasons()
    found = world.api.get("v1", "services", "default", "web")
    found["spec"]["type"] = "ClusterIP"
    world.api.put(found)
    await world.settle()
    assert world.cloud.balanced == {} and {"Type", "DeletedLoadBalancer"} <= world.reasons()
    assert not world.api.get("v1", "services", "default", "web")["status"]["loadBalancer"].get("ingress")


def test_controllers_have_old_names() -> None:
    assert canonical(["*", "-route"]) == {"*", "-node-route-controller"}
    with pytest.raises(UnknownController, match='"nope" is not in the list of known controllers'):
        canonical(["nope"])
