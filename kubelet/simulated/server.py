"""The kubelet's port of all simulated nodes: one line for whoever asks for logs, an explanation for everything else."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.errors import Forbidden, Unauthorized
from kubarium.apimachinery.object import Object, spec_of
from kubarium.component_base.serving import Receive, Scope, Send, respond
from kubelet.server.authorization import Door

TEXT = "text/plain; charset=utf-8"


class Server:
    """One ASGI application."""

    def __init__(
        self, door: Door, find: Callable[[str, str], Object | None], metrics: Callable[[str], str]
    ) -> None:
        self._door = door
        self._find = find
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            await self._door.enter(scope)
        except Unauthorized:
            await respond(send, 401, TEXT, b"Unauthorized")
        except Forbidden as refusal:
            await respond(send, 403, TEXT, str(refusal).encode())
        else:
            status, text = self.answer([part for part in scope["path"].split("/") if part])
            if status < 400:
                await respond(send, status, TEXT, text.encode())
            else:
                await respond(send, status, "application/json", _status(status, text))

    def answer(self, parts: list[str]) -> tuple[int, str]:
        """Status and text for the elements of a path."""
        match parts:
            case ["healthz", *_]:
                return 200, "ok"
            case ["metrics", "nodes", node, "metrics", "resource"]:  # see `nodes.METRICS_PATH`
                return 200, self._metrics(node)
            case ["containerLogs", namespace, name, container]:
                return self._log(namespace, name, container)
            case ["exec" | "attach" | "portForward" | "run" as verb, namespace, name, *_]:
                pod = self._find(namespace, name)
                if pod is None:
                    return 404, f'pod "{name}" does not exist'
                return 501, f"{verb} is not possible: {_explanation(pod)}"
        return 404, "404 page not found: the node is simulated"

    def _log(self, namespace: str, name: str, container: str) -> tuple[int, str]:
        pod = self._find(namespace, name)
        if pod is None:
            return 404, f'pod "{name}" does not exist'
        if pod_containers.find(pod, container) is None:
            return 404, f"container {container} not found in pod {name}"
        return 200, f"no output of container {container}: {_explanation(pod)}\n"


def _status(code: int, message: str) -> bytes:
    """The error as an object: clients take plain text with a colon for YAML."""
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    reason = "NotFound" if code == 404 else "NotImplemented"
    return orjson.dumps(status | {"message": message, "reason": reason, "code": code})


def _explanation(pod: Object) -> str:
    name, node = pod["metadata"]["name"], spec_of(pod)["nodeName"]
    return f"pod {name} is on the simulated node {node}, where nothing really runs"
