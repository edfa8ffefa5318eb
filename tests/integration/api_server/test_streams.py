"""log, exec and proxy through the API server to a stand-in kubelet that speaks TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson
import pytest
import yarl

from kubarium.apimachinery import errors
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.rest import Client
from kubarium.client.transport import NetworkTransport
from kubarium.component_base import spdy
from kubarium.component_base.channels import CLOSE, ERROR, STDERR, STDIN, STDOUT, SPDYChannels, SPDYClient
from tests.integration.running import ApiServer

ENDED_WITH_3 = {
    "status": "Failure",
    "reason": "NonZeroExitCode",
    "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    "message": "as the runtime says it",
}
PAGE = b'<html><a href="/there">there</a></html>'


@dataclass
class Kubelet:
    """Answers logs with lines, upgrades with an echo, everything else with a page; what is `endless` never ends."""

    heads: list[str] = field(default_factory=list)
    read: bytearray = field(default_factory=bytearray)  # what a process was told
    ended: bool = False  # was it told that this was all, and not hung up on?
    left: asyncio.Queue[str] = field(default_factory=asyncio.Queue)  # endless answers that were hung up on
    port: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.connections.add(asyncio.get_running_loop().create_task(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        if "upgrade: echo" in head.lower():
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            while data := await reader.read(65536):
                writer.write(data.upper())
                await writer.drain()
        elif "upgrade: spdy/3.1" in head.lower():
            await self._speak_spdy(head, reader, writer)
        elif "endless" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"4\r\none\n\r\n")
            with contextlib.suppress(OSError):
                await reader.read()
            self.left.put_nowait(head.split()[1])
        elif "/containerLogs/" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n")
        else:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE
            )
        await writer.drain()
        with contextlib.suppress(OSError):
            await reader.read()  # until the other side hangs up
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _speak_spdy(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """A process that answers in capitals and ends with 3; a port's first stream is echoed as it is."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
        side = SPDYClient(reader, writer)
        listening = asyncio.get_running_loop().create_task(side.run())
        if "/portForward/" in head:
            stream = await side.opened.get()
            while stream is not None and (data := await stream.received.get()):
                stream.write(data)
        else:
            streams = SPDYChannels(side)
            await streams.open(4)
            while (said := await streams.receive()) is not None and said[0] != CLOSE:
                self.read += said[1]
                await streams.send(STDOUT if said[0] == STDIN else STDERR, said[1].upper())
            self.ended = said is not None and not reader.at_eof()
            await streams.send(ERROR, orjson.dumps(ENDED_WITH_3))
            await streams.close()
        writer.close()
        await listening


@pytest.fixture
async def kubelet(api_server: ApiServer) -> AsyncIterator[Kubelet]:
    """A listening stand-in."""
    pair = api_server.credentials.ca.server("system:node:far", ["127.0.0.1"])
    pair.write(api_server.credentials.path("node.crt"), api_server.credentials.path("node.key"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(api_server.credentials.path("node.crt"), api_server.credentials.path("node.key"))
    stand_in = Kubelet()
    server = await asyncio.start_server(stand_in.accept, "127.0.0.1", 0, ssl=context)
    stand_in.port = server.sockets[0].getsockname()[1]
    yield stand_in
    server.close()
    await server.wait_closed()
    for writer in stand_in.writers:
        writer.transport.abort()
    if stand_in.connections:
        await asyncio.wait(stand_in.connections, timeout=60)


@pytest.fixture
async def pod(client: Client, kubelet: Kubelet, default_account: str) -> AsyncIterator[str]:
    """The path of a pod that is bound to the stand-in's node."""
    namespace = default_account
    nodes, pods = client.resource("v1", "nodes"), client.resource("v1", "pods")
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "far"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}},
        },
    }
    await nodes.create(node)
    spec = {"nodeName": "far", "containers": [{"name": "main", "image": "i"}, {"name": "side", "image": "i"}]}
    await pods.create(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}, namespace
    )
    yield f"/api/v1/namespaces/{namespace}/pods/web"
    await pods.delete("web", namespace, grace_period_seconds=0)
    await nodes.delete("far")


async def test_log_names_the_container(client: Client, pod: str, kubelet: Kubelet) -> None:
    answer = await client.request("GET", f"{pod}/log?container=side&tailLines=5&follow=true")
    assert answer == "one\ntwo\n"
    first_line = kubelet.heads[-1].splitlines()[0]
    assert first_line.startswith("GET /containerLogs/")
    assert first_line.endswith("/web/side?follow=true&tailLines=5 HTTP/1.1")


async def test_log_of_two_containers_needs_a_name(client: Client, pod: str) -> None:
    with pytest.raises(errors.BadRequest, match=r"choose one of: \[main side\]"):
        await client.request("GET", f"{pod}/log")
    with pytest.raises(errors.BadRequest, match="container nobody is not valid for pod web"):
        await client.request("GET", f"{pod}/log?container=nobody")


async def test_an_answer_ends_when_nobody_listens_any_more(
    api_server: ApiServer, client: Client, pod: str, kubelet: Kubelet
) -> None:
    """Though nothing more is said: logs, logs over WebSocket, and what is behind a proxy."""
    endless = f"{pod}/log?container=main&follow=true&sinceTime=endless"
    for path in (endless, "/api/v1/nodes/far/proxy/endless"):
        async with client.stream("GET", path) as answer:
            assert [await anext(answer.chunks())] == [b"one\n"]
        async with asyncio.timeout(60):
            assert "endless" in await kubelet.left.get()
    async with web_socket(api_server, endless, "binary.k8s.io") as socket:
        assert [await socket.receive_bytes() for _ in range(2)] == [b"", b"one\n"]
    async with asyncio.timeout(60):
        assert "endless" in await kubelet.left.get()


async def test_exec_becomes_a_tunnel(
    api_server: ApiServer, client: Client, pod: str, kubelet: Kubelet
) -> None:
    context = api_server.config().ssl_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", api_server.port, ssl=context)
    request = f"POST {pod}/exec?container=main&command=cat&command=a+b&stdin=true&stdout=true HTTP/1.1\r\n"
    writer.write(f"{request}Host: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    writer.write(b"hello" * 50_000)
    assert await reader.readexactly(250_000) == b"HELLO" * 50_000
    writer.close()
    await writer.wait_closed()
    first_line = kubelet.heads[-1].splitlines()[0]
    assert first_line.endswith("/web/main?input=1&output=1&command=cat&command=a+b HTTP/1.1")


@contextlib.asynccontextmanager
async def web_socket(
    api_server: ApiServer, path: str, protocol: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the API server, which has agreed to the protocol."""
    transport = NetworkTransport(api_server.url, api_server.config().ssl_context())
    try:
        socket = await transport.web_socket(yarl.URL(api_server.url + path), protocol, {})
        assert socket.protocol == protocol
        yield socket
        await socket.close()
    finally:
        await transport.close()


async def test_channels_of_a_web_socket_become_streams(
    api_server: ApiServer, pod: str, kubelet: Kubelet
) -> None:
    path = f"{pod}/exec?container=main&command=cat&stdin=true&stdout=true&stderr=true"
    async with web_socket(api_server, path, "v5.channel.k8s.io") as socket:
        await socket.send_bytes(b"\x00" + b"hello" * 20_000)
        heard = b""
        while len(heard) < 100_000:
            message = await socket.receive_bytes()
            assert message[0] == STDOUT
            heard += message[1:]
        assert heard == b"HELLO" * 20_000
        await socket.send_bytes(
            bytes((CLOSE, STDIN))
        )  # the process reads to the end, and the rest still comes
        last = await socket.receive_bytes()
        assert last[0] == ERROR
        status = orjson.loads(last[1:])
        assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
        text = "command terminated with non-zero exit code: command terminated with exit code 3"
        assert (status["reason"], status["message"]) == ("NonZeroExitCode", text)
        assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
    assert "X-Stream-Protocol-Version: v4.channel.k8s.io" in kubelet.heads[-1]


async def test_what_was_sent_arrives_though_the_client_has_gone(
    api_server: ApiServer, pod: str, kubelet: Kubelet
) -> None:
    """Who copies a file into a pod sends it and hangs up."""
    path = f"{pod}/exec?container=main&command=cat&stdin=true&stdout=true&stderr=true"
    async with web_socket(api_server, path, "v5.channel.k8s.io") as socket:
        await socket.send_bytes(b"\x00" + b"hello" * 20_000)
    await asyncio.wait(kubelet.connections, timeout=60)
    assert bytes(kubelet.read) == b"hello" * 20_000
    assert kubelet.ended


async def test_a_tunnel_within_a_web_socket_reaches_a_port(
    api_server: ApiServer, pod: str, kubelet: Kubelet
) -> None:
    protocol = "SPDY/3.1+portforward.k8s.io"
    async with web_socket(api_server, f"{pod}/portforward?ports=80", protocol) as socket:
        sent: list[bytes] = []
        connection = spdy.Connection(sent.append)
        stream = connection.open({"streamtype": "data", "port": "80"})
        stream.write(b"ping")
        await socket.send_bytes(b"".join(sent))
        while stream.received.empty():
            connection.feed(await socket.receive_bytes())
        assert stream.received.get_nowait() == b"ping"
    assert "X-Stream-Protocol-Version: portforward.k8s.io" in kubelet.heads[-1]


async def test_a_kubelet_that_is_away_is_told_on_the_channel_of_errors(
    api_server: ApiServer, client: Client, pod: str, kubelet: Kubelet
) -> None:
    endpoint = {"daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}
    await client.resource("v1", "nodes").patch("far", {"status": endpoint}, subresource="status")
    path = f"{pod}/exec?container=main&command=cat&stdout=true"
    async with web_socket(api_server, path, "v5.channel.k8s.io") as socket:
        last = await socket.receive_bytes()
        assert last[0] == ERROR and orjson.loads(last[1:])["reason"] == "InternalError"


async def test_exec_without_upgrade_is_a_bad_request(client: Client, pod: str) -> None:
    with pytest.raises(errors.BadRequest, match="Upgrade request required"):
        await client.request("POST", f"{pod}/exec?container=main&command=ls&stdout=true")


async def test_node_proxy_rewrites_links(client: Client, pod: str) -> None:
    page = await client.request("GET", "/api/v1/nodes/far/proxy/pods?x=1")
    assert page == '<html><a href="/api/v1/nodes/far/proxy/there">there</a></html>'
