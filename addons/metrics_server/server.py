"""Answers requests that the API server passes on for `metrics.k8s.io`.

Who asks stands in the front proxy's headers; they count only if the proxy's client certificate was verified.
The API server has authorised the request already; asking again is left to it.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import orjson

from addons.metrics_server import metrics_api as api
from addons.metrics_server.samples import Samples
from kubarium.apimachinery import errors, labels
from kubarium.apimachinery.object import Object
from kubarium.client.lister import Lister
from kubarium.component_base.serving import Receive, Scope, Send, respond

ROOT = f"/apis/{api.API_VERSION}"
OPEN = ("/healthz", "/livez", "/readyz")


class MetricsServer:
    """An ASGI application."""

    def __init__(self, nodes: Lister, pods: Lister, samples: Samples) -> None:
        self._nodes, self._pods, self._samples = nodes, pods, samples

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            status, body = 200, self._answer(scope)
            if isinstance(body, dict) and "metadata" in body and _wants_table(scope):
                body = api.table_of(body)
        except errors.StatusError as error:
            status, body = error.code, error.status()
        if isinstance(body, str):
            await respond(send, status, "text/plain; charset=utf-8", body.encode())
            return
        await respond(send, status, "application/json", orjson.dumps(body))

    def _answer(self, scope: Scope) -> Object | str:
        path = scope["path"].rstrip("/")
        if path in OPEN:
            return "ok"
        if not scope.get("state", {}).get("client_cert"):
            raise errors.Unauthorized
        if path == ROOT:
            return api.RESOURCES
        if path == "/apis/metrics.k8s.io":
            version = {"groupVersion": api.API_VERSION, "version": "v1beta1"}
            return {"kind": "APIGroup", "apiVersion": "v1", "name": "metrics.k8s.io", "versions": [version],
                    "preferredVersion": version}  # fmt: skip
        if not path.startswith(ROOT + "/"):
            raise errors.NotFound.page()
        query = parse_qs(scope.get("query_string", b"").decode())
        selector = _selector((query.get("labelSelector") or [""])[0])
        match path.removeprefix(ROOT + "/").split("/"):
            case ["nodes"]:
                nodes = self._nodes.list(selector=selector)
                return api.list_of("NodeMetrics", (api.node_metrics(node, self._samples) for node in nodes))
            case ["nodes", name]:
                return _found(self._node(name), "nodes", name)
            case ["pods"]:
                return self._pod_list(None, selector)
            case ["namespaces", namespace, "pods"]:
                return self._pod_list(namespace, selector)
            case ["namespaces", namespace, "pods", name]:
                pod = self._pods.get(namespace, name)
                metrics = api.pod_metrics(pod, self._samples) if pod is not None else None
                return _found(metrics, "pods", f"{namespace}/{name}")
            case _:
                raise errors.NotFound.page()

    def _node(self, name: str) -> Object | None:
        node = self._nodes.get("", name)
        return api.node_metrics(node, self._samples) if node is not None else None

    def _pod_list(self, namespace: str | None, selector: labels.Selector) -> Object:
        pods = self._pods.list(namespace, selector)
        return api.list_of("PodMetrics", (api.pod_metrics(pod, self._samples) for pod in pods))


def _wants_table(scope: Scope) -> bool:
    return any(name == b"accept" and b"as=Table;v=v1" in value for name, value in scope["headers"])


def _selector(text: str) -> labels.Selector:
    try:
        return labels.parse(text)
    except labels.ParseError as error:
        raise errors.BadRequest(f"unable to parse requirement: {error}") from error


def _found(metrics: Object | None, resource: str, name: str) -> Object:
    if metrics is None:
        raise errors.NotFound.of("metrics.k8s.io", resource, name)
    return metrics
