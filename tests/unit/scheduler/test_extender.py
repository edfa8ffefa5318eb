"""An extender over HTTP filters, ranks, binds, and has its say in preemption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kubarium.apimachinery.object import Object
from scheduler.configuration import configuration_of
from tests.unit.scheduler.builders import make_node, make_pod


class ExtenderServer:
    """Refuses node `a`, likes node `c`, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Object]] = []
        self.port = 0
        self.broken = False
        self.bind_error = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = orjson.loads(await reader.readexactly(length))
                verb = head.split()[1].decode().rpartition("/")[2]
                self.asked.append((verb, body))
                answer = orjson.dumps(self.answer(verb, body))
                status = b"500 Internal Server Error" if self.broken else b"200 OK"
                writer.write(
                    b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                    % (status, len(answer), answer)
                )
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    def answer(self, verb: str, body: Object) -> Any:
        match verb:
            case "filter":
                kept = [name for name in self.names(body) if name != "a"]
                if body["NodeNames"] is None:
                    items = [one for one in body["Nodes"]["items"] if one["metadata"]["name"] != "a"]
                    return {"Nodes": {"items": items}, "FailedAndUnresolvableNodes": {"a": "no licence"}}
                return {"NodeNames": kept, "FailedNodes": {"a": "no licence"}}
            case "prioritize":
                return [{"Host": name, "Score": 10 if name == "c" else 0} for name in self.names(body)]
            case "preempt":
                return {"NodeNameToMetaVictims": self.agreed(body)}
            case _:
                return {"Error": self.bind_error}

    @staticmethod
    def names(body: Object) -> list[str]:
        if body["NodeNames"] is not None:
            return body["NodeNames"]  # type: ignore[no-any-return]
        return [one["metadata"]["name"] for one in body["Nodes"]["items"]]

    @staticmethod
    def agreed(body: Object) -> Object:
        """Victims on node `c` only."""
        victims = body["NodeNameToMetaVictims"] or {
            node: {"Pods": [{"UID": pod["metadata"]["uid"]} for pod in entry["Pods"]]}
            for node, entry in body["NodeNameToVictims"].items()
        }
        return {node: entry for node, entry in victims.items() if node == "c"}


@pytest.fixture
async def server() -> AsyncIterator[ExtenderServer]:
    made = ExtenderServer()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


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
