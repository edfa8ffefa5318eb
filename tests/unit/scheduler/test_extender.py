"""An extender over HTTP filters, ranks, binds, and has its say in preemption."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from kubarium.apimachinery.object import Object
from scheduler.configuration import configuration_of
from tests.extender_server import ExtenderServer
from tests.unit.scheduler.builders import make_node, make_pod


@pytest.fixture
async def server() -> AsyncIterator[ExtenderServer]:
    async with ExtenderServer().listening() as made:
        yield made


def settings(server: ExtenderServer, **more: Any) -> Object:
    return {
        "urlPrefix": f"http://127.0.0.1:{server.port}/extend",
        "filterVerb": "filter",
        "prioritizeVerb": "prioritize",
        "weight": 100,
        "nodeCacheCapable": True,
        **more,
    }


async def test_it_has_its_say(start: Any, server: ExtenderServer) -> None:
    configuration = configuration_of({"extenders": [settings(server)]})
    nodes = [make_node("a"), make_node("b"), make_node("c")]
    async with start(*nodes, make_pod("web", cpu="1"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "c")
        assert [verb for verb, _ in server.asked] == ["filter", "prioritize"]
        cluster.api.put(make_pod("fixed", nodeSelector={"kubernetes.io/hostname": "a"}))
        await cluster.until(lambda: cluster.condition("fixed"))
        assert "1 no licence" in cluster.condition("fixed")["message"]


async def test_a_broken_one_may_be_ignored(start: Any, server: ExtenderServer) -> None:
    server.broken = True
    configuration = configuration_of({"extenders": [settings(server, ignorable=True)]})
    async with start(make_node("a"), make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "a")


async def test_it_is_asked_only_about_pods_with_its_resource(start: Any, server: ExtenderServer) -> None:
    managed = [{"name": "example.com/chip"}]
    configuration = configuration_of({"extenders": [settings(server, managedResources=managed)]})
    async with start(make_node("a"), make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "a")
        assert not server.asked


async def test_one_without_a_cache_gets_whole_nodes(start: Any, server: ExtenderServer) -> None:
    configuration = configuration_of({"extenders": [settings(server, nodeCacheCapable=False)]})
    nodes = [make_node("a"), make_node("b"), make_node("c")]
    async with start(*nodes, make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "c")
        assert server.asked[0][1]["Nodes"]["items"][0]["kind"] == "Node"
        assert server.asked[0][1]["Pod"]["metadata"]["name"] == "web"


async def test_a_failure_is_told_and_tried_again(start: Any, server: ExtenderServer) -> None:
    server.broken = True
    configuration = configuration_of({"extenders": [settings(server)]})
    async with start(make_node("b"), make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["reason"] == "SchedulerError"
        url = f"http://127.0.0.1:{server.port}/extend/filter"
        assert cluster.condition("web")["message"] == f"failed filter with extender at URL {url}, code 500"
        server.broken = False
        await cluster.until(lambda: cluster.node_of("web") == "b")


async def test_it_binds_in_place_of_the_scheduler(start: Any, server: ExtenderServer) -> None:
    server.bind_error = "not today"
    verbs = {"filterVerb": "", "prioritizeVerb": "", "bindVerb": "bind"}
    configuration = configuration_of({"extenders": [settings(server, **verbs)]})
    async with start(make_node("b"), make_pod("web", uid="of-web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.condition("web"))
        assert cluster.condition("web")["message"] == "not today"
        expected = {"PodName": "web", "PodNamespace": "default", "PodUID": "of-web", "Node": "b"}
        assert server.asked[0] == ("bind", expected)


async def test_one_that_cannot_bind_may_be_passed_over(start: Any, server: ExtenderServer) -> None:
    server.bind_error = "not today"
    verbs = {"filterVerb": "", "prioritizeVerb": "", "bindVerb": "bind", "ignorable": True}
    configuration = configuration_of({"extenders": [settings(server, **verbs)]})
    async with start(make_node("b"), make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")
        assert [verb for verb, _ in server.asked] == ["bind"]


async def test_whom_it_refused_is_tried_again_when_anything_happens(
    start: Any, server: ExtenderServer
) -> None:
    configuration = configuration_of({"extenders": [settings(server)]})
    async with start(make_node("a"), make_pod("web"), configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.app.queue.size("unschedulable"))
        assert len(server.asked) == 1
        kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "new"}}
        cluster.api.put({**kind, "provisioner": "example.com/disks"})
        await cluster.until(lambda: len(server.asked) == 2)


@pytest.mark.parametrize("by_name", [True, False])
async def test_it_strikes_out_nodes_for_preemption(start: Any, server: ExtenderServer, by_name: bool) -> None:
    verbs = {"filterVerb": "", "prioritizeVerb": "", "preemptVerb": "preempt", "nodeCacheCapable": by_name}
    configuration = configuration_of({"extenders": [settings(server, **verbs)]})
    nodes = [make_node(name, cpu="1") for name in "bcd"]
    low = [make_pod(f"low-{name}", cpu="1", nodeName=name, terminationGracePeriodSeconds=0) for name in "bcd"]
    vip = make_pod("vip", cpu="1", priority=10)
    async with start(*nodes, *low, vip, configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("vip") == "c")
        left = [pod["metadata"]["name"] for pod in cluster.api.objects("v1", "pods")]
        assert sorted(left) == ["low-b", "low-d", "vip"]


async def test_the_scheduler_leaves_a_resource_to_it(start: Any, server: ExtenderServer) -> None:
    managed = [{"name": "example.com/chip", "ignoredByScheduler": True}]
    configuration = configuration_of({"extenders": [settings(server, managedResources=managed)]})
    pod = make_pod("web")
    pod["spec"]["containers"][0]["resources"] = {"requests": {"example.com/chip": "1"}}
    async with start(make_node("b"), pod, configuration=configuration) as cluster:
        await cluster.until(lambda: cluster.node_of("web") == "b")
        assert server.asked[0][0] == "filter"
