"""A group that another server serves: discovered, reached as the caller, missed when it is away."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from kubarium.apimachinery import conditions, errors
from kubarium.client.rest import Client
from tests.integration.running import ApiServer

GROUP = "metrics.example.com"
RESOURCES = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": f"{GROUP}/v1",
    "resources": [
        {"name": "numbers", "singularName": "number", "namespaced": True, "kind": "Number", "verbs": ["get"]}
    ],
}


AGGREGATED = [
    {"resource": "numbers", "responseKind": {"group": GROUP, "version": "v1", "kind": "Number"},
     "scope": "Namespaced", "singularResource": "number", "verbs": ["get"]}
]  # fmt: skip
ITEM = {"get": {"responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Number"}}}}}
DOCUMENTS: dict[str, Any] = {
    f"/apis/{GROUP}/v1": RESOURCES,
    "/apis": {
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "items": [{"metadata": {"name": GROUP}, "versions": [{"version": "v1", "resources": AGGREGATED}]}],
    },
    "/openapi/v2": {
        "swagger": "2.0",
        "paths": {f"/apis/{GROUP}/v1/numbers": ITEM, "/apis/other/v1/": ITEM},
        "definitions": {"Number": {"type": "object", "description": "a number"}, "Unused": {}},
    },
    "/openapi/v3": {
        "paths": {f"apis/{GROUP}/v1": {"serverRelativeURL": f"/openapi/v3/apis/{GROUP}/v1?hash=AB"}}
    },
    f"/openapi/v3/apis/{GROUP}/v1?hash=AB": {"openapi": "3.0.0", "paths": {f"/apis/{GROUP}/v1/numbers": {}}},
}  # fmt: skip


class Server:
    """An extension API server in small: one resource list, one object that says who asked."""

    def __init__(self) -> None:
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(asyncio.get_running_loop().create_task(self.work(reader, writer)))

    async def work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.serve(reader, writer)
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = [line.lower() for line in lines[1:]]
                user = next(
                    (line.partition(": ")[2] for line in headers if line.startswith("x-remote-user")), ""
                )
                path = lines[0].split()[1]
                shown = DOCUMENTS.get(path, {"kind": "Number", "path": path, "user": user})
                body = orjson.dumps(shown)
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()


@pytest.fixture
async def extension(api_server: ApiServer) -> AsyncIterator[Server]:
    """A listening extension server whose clients must have the front proxy's certificate."""
    pair = api_server.credentials.ca.server("extension", ["numbers.default.svc"])
    cert, key = api_server.credentials.path("extension.crt"), api_server.credentials.path("extension.key")
    pair.write(cert, key)
    context = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH, cafile=api_server.credentials.path("front-proxy-ca.crt")
    )
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(cert, key)
    extension = Server()
    server = await asyncio.start_server(extension.accept, "127.0.0.1", 0, ssl=context)
    extension.port = server.sockets[0].getsockname()[1]
    yield extension
    server.close()
    for writer in extension.writers:
        writer.transport.abort()
    await server.wait_closed()
    if extension.connections:
        await asyncio.wait(extension.connections, timeout=60)


async def available(client: Client, wanted: str) -> Any:
    """The Available condition once it has the wanted status."""
    services = client.resource("apiregistration.k8s.io/v1", "apiservices")
    async with asyncio.timeout(60):
        async for event in services.watch(field_selector=f"metadata.name=v1.{GROUP}"):
            found = conditions.find((event.obj.get("status") or {}).get("conditions"), "Available")
            if found is not None and found["status"] == wanted:
                return found


async def test_a_group_behind_our_door(api_server: ApiServer, client: Client, extension: Server) -> None:
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "numbers"}, "spec": {"ports": [{"port": 443}]},
    }  # fmt: skip
    api_service = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{GROUP}"},
        "spec": {
            "group": GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "caBundle": base64.b64encode(api_server.credentials.ca.cert_pem).decode(),
            "service": {"namespace": "default", "name": "numbers"},
        },
    }  # fmt: skip
    api_services = client.resource("apiregistration.k8s.io/v1", "apiservices")
    slices = client.resource("discovery.k8s.io/v1", "endpointslices")
    await api_services.create(api_service)
    try:
        missing = await available(client, "False")
        assert missing["message"] == 'service/numbers in "default" is not present'
        measured = await client.request("GET", "/metrics")
        assert f'aggregator_unavailable_apiservice{{name="v1.{GROUP}"}} 1.0' in measured
        with pytest.raises(errors.ServiceUnavailable):
            await client.request("GET", f"/apis/{GROUP}/v1/namespaces/default/numbers/one")
        await client.resource("v1", "services").create(service, "default")
        piece = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "numbers-1", "labels": {"kubernetes.io/service-name": "numbers"}},
            "endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"name": "", "port": extension.port}],
        }  # fmt: skip
        await slices.create(piece, "default")
        assert (await available(client, "True"))["message"] == "all checks passed"
        answer = await client.request("GET", f"/apis/{GROUP}/v1/namespaces/default/numbers/one?x=1")
        assert answer["user"] == "kubernetes-admin"
        assert answer["path"] == f"/apis/{GROUP}/v1/namespaces/default/numbers/one?x=1"
        groups = await client.request("GET", "/apis")
        assert GROUP in [group["name"] for group in groups["groups"]]
        assert (await client.request("GET", f"/apis/{GROUP}/v1"))["resources"] == RESOURCES["resources"]
        await published(client)
    finally:
        await api_services.delete(f"v1.{GROUP}")
        with contextlib.suppress(errors.NotFound):
            await slices.delete("numbers-1", "default")
            await client.resource("v1", "services").delete("numbers", "default")
    _, open_still = await asyncio.wait(extension.connections, timeout=60)
    assert not open_still  # nobody asks it any more


async def published(client: Client) -> None:
    """What the extension publishes of itself stands in our documents."""
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    groups = (await client.request("GET", "/apis", headers=accept))["items"]
    (group,) = (item for item in groups if item["metadata"]["name"] == GROUP)
    assert group["versions"] == [{"version": "v1", "resources": AGGREGATED, "freshness": "Current"}]
    index = (await client.request("GET", "/openapi/v3"))["paths"]
    url = index[f"apis/{GROUP}/v1"]["serverRelativeURL"]
    assert url == f"/openapi/v3/apis/{GROUP}/v1?hash=AB"
    assert (await client.request("GET", url.partition("?")[0]))["openapi"] == "3.0.0"
    whole = await client.request("GET", "/openapi/v2")
    assert whole["paths"][f"/apis/{GROUP}/v1/numbers"] == ITEM
    assert "/apis/other/v1/" not in whole["paths"]
    assert whole["definitions"]["Number"]["description"] == "a number"
    assert "Unused" not in whole["definitions"]


async def test_our_own_groups_are_local(client: Client) -> None:
    async with asyncio.timeout(60):
        async for event in client.resource("apiregistration.k8s.io/v1", "apiservices").watch(
            field_selector="metadata.name=v1.apps"
        ):
            found = conditions.find((event.obj.get("status") or {}).get("conditions"), "Available")
            if found is not None:
                break
    assert found is not None and found["message"] == "Local APIServices are always available"
