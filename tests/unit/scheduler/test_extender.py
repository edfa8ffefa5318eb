"""An extender over HTTP filters, ranks and binds."""

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
        if verb == "filter":
            kept = [name for name in body["nodenames"] if name != "a"]
            return {"nodenames": kept, "failedNodes": {"a": "no licence"}}
        if verb == "prioritize":
            return [{"host": name, "score": 10 if name == "c" else 0} for name in body["nodenames"]]
        return {}


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
