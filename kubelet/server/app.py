"""Pages and routes of the kubelet's HTTPS API."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import orjson

from kubarium.apimachinery.errors import Forbidden, Unauthorized
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubarium.component_base.health import Health, metrics_page, slis_page
from kubarium.component_base.serving import Page, Receive, Scope, Send, respond
from kubelet import metrics
from kubelet.resources import cadvisor, exposition
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.stats import Stats
from kubelet.runtime.interface import ContainerRuntimeError
from kubelet.server import log_files
from kubelet.server.authorization import Door
from kubelet.server.streaming import Refused, Streams, parts_of

log = logging.get(__name__)

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
DEBUGGING = frozenset(("run", "exec", "attach", "portForward", "containerLogs", "runningpods", "logs"))
"""First elements of the paths that reach into pods."""

LONG_RUNNING = frozenset(("exec", "attach", "portForward", "containerLogs", "run", "debug"))
WITH_DEBUGGING = frozenset(("configz", "checkpoint"))  # not there at all without them

LISTED = ("/configz", "/healthz", "/metrics", "/pods", "/runningpods", "/stats/summary")  # on the status page
METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Server:
    """One ASGI application."""

    def __init__(
        self,
        *,
        door: Door | None,
        streams: Streams,
        stats: Stats,
        health: Health,
        pods: Callable[[], list[Object]],
        running_pods: Callable[[], Awaitable[list[Object]]],
        configuration: Callable[[], Object],
        cgroups: Cgroups,
        machine: tuple[int, int] = (0, 0),
        log_files: Path | None = None,
        debugging: bool = True,
        status_pages: Mapping[str, Page] | None = None,
    ) -> None:
        self._door = door  # None: everybody may come in
        self._debugging = debugging
        self._streams = streams
        self._stats = stats
        self._health = health
        self._pods = pods
        self._running_pods = running_pods
        self._configuration = configuration
        self._cgroups = cgroups
        self._machine = machine  # processors, bytes of memory
        self._log_files = log_files
        self._status_pages = status_pages or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False
        root = next(iter(parts_of(scope["path"])), "")
        labels = (
            scope["method"],
            root,
            "readonly" if self._door is None else "readwrite",
            "true" if root in LONG_RUNNING else "false",
        )
        metrics.REQUESTS.add(labels)
        metrics.REQUESTS_NOW.set(labels, metrics.REQUESTS_NOW.value(labels) + 1)

        async def remember(message: dict[str, object]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            with metrics.REQUEST_SECONDS.timed(labels):
                if self._door is not None:
                    await self._door.enter(scope)
                await self._route(scope, receive, remember)  # type: ignore[arg-type]
        except Unauthorized:
            await respond(send, 401, TEXT, b"Unauthorized")
        except Forbidden as refusal:
            await respond(send, 403, TEXT, str(refusal).encode())
        except Refused as refusal:
            await respond(send, refusal.status, TEXT, refusal.text.encode())
        except ValueError as error:
            await respond(send, 400, TEXT, str(error).encode())
        except (ContainerRuntimeError, OSError) as error:
            log.info("%s %s: %s", scope["method"], scope["path"], error)
            if not started:
                await respond(send, 500, TEXT, str(error).encode())
        finally:
            metrics.REQUESTS_NOW.set(labels, metrics.REQUESTS_NOW.value(labels) - 1)

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = parts_of(scope["path"])
        if not self._debugging and parts and parts[0] in DEBUGGING:
            raise Refused(405, "Debug endpoints are disabled.\n")
        if not self._debugging and parts and parts[0] in WITH_DEBUGGING:
            raise Refused(404, "404 page not found\n")
        match parts:
            case ["healthz", *_]:
                await respond(send, *await self._health.answer("healthz", scope))
            case ["metrics"]:
                await respond(send, *await metrics_page(scope))
            case ["metrics", "slis"]:
                await respond(send, *await slis_page(scope))
            case ["metrics", "resource"]:
                text = exposition.resource_metrics(await self._stats.summary())
                await respond(send, 200, METRICS, text.encode())
            case ["metrics", "cadvisor"]:
                summary = await self._stats.summary()
                text = await asyncio.to_thread(
                    cadvisor.expose, self._cgroups, self._pods(), summary, *self._machine
                )
                await respond(send, 200, METRICS, text.encode())
            case ["metrics", "probes"]:
                await respond(send, 200, METRICS, metrics.probes_page())
            case ["logs", *parts] if self._log_files is not None:
                await self._log_file(scope, send, "/".join(parts))
            case ["checkpoint", namespace, name, container]:
                await self._checkpoint(scope, send, namespace, name, container)
            case ["stats", "summary"]:
                await respond(send, 200, JSON, orjson.dumps(await self._stats.summary()))
            case ["pods"]:
                await respond(send, 200, JSON, _list(self._pods()))
            case ["runningpods"]:
                await respond(send, 200, JSON, _list(await self._running_pods()))
            case ["statusz" | "flagz" as page] if f"/{page}" in self._status_pages:
                await respond(send, *await self._status_pages[f"/{page}"](scope))
            case ["configz"]:
                await respond(send, 200, JSON, orjson.dumps({"kubeletconfig": self._configuration()}))
            case ["containerLogs", namespace, name, container]:
                await self._streams.logs(scope, receive, send, namespace, name, container)
            case ["exec", namespace, name, container]:
                await self._streams.exec(scope, namespace, name, container)
            case ["exec", namespace, name, _, container]:
                await self._streams.exec(scope, namespace, name, container)
            case ["attach", namespace, name, container]:
                await self._streams.attach(scope, namespace, name, container)
            case ["portForward", namespace, name, *_]:
                await self._streams.port_forward(scope, namespace, name)
            case ["run", namespace, name, container]:
                await self._streams.run(scope, send, namespace, name, container)
            case _:
                await respond(send, 404, TEXT, b"404 page not found\n")

    async def _log_file(self, scope: Scope, send: Send, relative: str) -> None:
        assert self._log_files is not None
        try:
            found = log_files.find(relative, self._log_files)
            if found.is_dir():
                await respond(send, 200, "text/html; charset=utf-8", log_files.listing(found))
                return
            parts = log_files.content(found)
            first = await anext(parts, b"")
        except log_files.NotThere:
            await respond(send, 404, TEXT, b"404 page not found\n")
            return
        headers = [(b"content-type", TEXT.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _checkpoint(self, scope: Scope, send: Send, namespace: str, name: str, container: str) -> None:
        """No runtime behind the CRI that we speak can checkpoint; upstream answers the same for such a runtime."""
        if scope["method"] != "POST":
            await respond(send, 405, TEXT, b"405: Method Not Allowed")
            return
        self._streams.check(namespace, name, container)
        text = (
            f"checkpointing of {namespace}/{name}/{container} failed (rpc error: code = Unimplemented desc = "
        )
        text += "unknown method CheckpointContainer for service runtime.v1.RuntimeService)"
        await respond(send, 404, TEXT, text.encode())


def _list(pods: list[Object]) -> bytes:
    return orjson.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": pods})
