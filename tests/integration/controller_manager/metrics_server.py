"""An aggregated API server that answers for custom and external metrics with what a test has put there."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from kubarium.apimachinery import conditions
from kubarium.apimachinery.object import Object
from tests.integration.controller_manager.world import World
from tests.integration.running import ApiServer

CUSTOM, EXTERNAL = "custom.metrics.k8s.io/v1beta2", "external.metrics.k8s.io/v1beta1"
SERVICE = "metrics-adapter"


class MetricsServer:
    """`values` by the end of the path: `pods/*/hits`, `services/web/load`, `queue` for an external one."""

    def __init__(self) -> None:
        self.values: dict[str, list[Object]] = {}
        self.queries: list[tuple[str, str]] = []  # path, label selectors

    async def handle(self, request: web.Request) -> web.Response:
        parts = request.path.strip("/").split("/")  # apis, group, version, namespaces, name, …
        group_version = "/".join(parts[1:3])
        if len(parts) <= 3:
            resource = {
                "name": "x",
                "singularName": "",
                "namespaced": True,
                "kind": "Value",
                "verbs": ["get"],
            }
            return web.json_response(
                {
                    "kind": "APIResourceList",
                    "apiVersion": "v1",
                    "groupVersion": group_version,
                    "resources": [resource],
                }
            )
        what = "/".join(parts[5:])
        asked = request.query.get("metricLabelSelector") or request.query.get("labelSelector") or ""
        self.queries.append((what, asked))
        if what not in self.values:
            message = f"the server could not find the metric {what}"
            status: Any = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
            return web.json_response({**status, "reason": "NotFound", "code": 404}, status=404)
        kind = "ExternalMetricValueList" if group_version == EXTERNAL else "MetricValueList"
        found = {"kind": kind, "apiVersion": group_version, "metadata": {}, "items": self.values[what]}
        return web.json_response(found)


@asynccontextmanager
async def serving(world: World, api_server: ApiServer) -> AsyncIterator[MetricsServer]:
    """Register it for both groups, and take it away again."""
    server = MetricsServer()
    pair = api_server.credentials.ca.server(SERVICE, [f"{SERVICE}.{world.namespace}.svc"])
    cert, key = api_server.credentials.path("metrics.crt"), api_server.credentials.path("metrics.key")
    pair.write(cert, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    app = web.Application()
    app.router.add_get("/{tail:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    services = world.resource("apiregistration.k8s.io/v1", "apiservices")
    bundle = base64.b64encode(api_server.credentials.ca.cert_pem).decode()
    try:
        await _reachable(world, runner.addresses[0][1])
        for group_version in (CUSTOM, EXTERNAL):
            await services.create(_api_service(group_version, world.namespace, bundle))

        async def available() -> bool:
            found = [await services.get(_name(group_version)) for group_version in (CUSTOM, EXTERNAL)]
            return all(conditions.is_true(one, "Available") for one in found)

        await world.until(available)
        yield server
    finally:
        for group_version in (CUSTOM, EXTERNAL):
            await services.delete(_name(group_version))
        await runner.cleanup()


def _name(group_version: str) -> str:
    group, version = group_version.split("/")
    return f"{version}.{group}"


def _api_service(group_version: str, namespace: str, bundle: str) -> Object:
    group, version = group_version.split("/")
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": _name(group_version)},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": bundle,
            "service": {"namespace": namespace, "name": SERVICE},
        },
    }


async def _reachable(world: World, port: int) -> None:
    """A Service without selector, and its endpoint made by hand: the API server's own machine."""
    service: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}}
    await world.create({**service, "spec": {"ports": [{"port": 443}]}})
    labels = {"kubernetes.io/service-name": SERVICE}
    await world.create(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "addressType": "IPv4",
            "metadata": {"name": SERVICE, "labels": labels},
            "endpoints": [{"addresses": ["127.0.0.1"]}],
            "ports": [{"name": "", "port": port}],
        }
    )
