"""Logs of a container, commands in it, its input and output, its ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, annotations_of, uid_of
from kubarium.component_base import tunnel
from kubarium.component_base.clock import Clock
from kubarium.component_base.departure import until_gone, while_listened
from kubarium.component_base.serving import Receive, Scope, Send, respond
from kubelet.pods.inputs import log_directory
from kubelet.pods.manager import PodManager
from kubelet.runtime import container as container_module
from kubelet.runtime import interface, logs, state
from kubelet.runtime.interface import ContainerRuntimeError, ContainerStatus, Runtime
from kubelet.runtime.logs import LogOptions

Query = Mapping[str, list[str]]
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"
WAITING_WORDS = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


class Refused(Exception):
    """The request cannot be served; status and text go back."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Streams:
    """Everything that flows between a container and a person."""

    def __init__(
        self,
        runtime: Runtime,
        pods: PodManager,
        clock: Clock,
        log_root: Path,
        with_status: Callable[[Object], Object] = lambda pod: pod,
    ) -> None:
        self._runtime = runtime
        self._pods = pods
        self._clock = clock
        self._log_root = log_root
        self._with_status = with_status

    # -- logs ------------------------------------------------------------------------------------------------------

    async def logs(
        self, scope: Scope, receive: Receive, send: Send, namespace: str, name: str, container: str
    ) -> None:
        """`/containerLogs/<namespace>/<pod>/<container>`."""
        pod, query = self._pod(namespace, name), parse_qs(scope["query_string"].decode())
        options = self._log_options(query)
        path, container_id = await self._log_file(pod, container, _flag(query, "previous"))
        if not options.follow and not path.exists():
            text = (
                f'failed to try resolving symlinks in path "{path}": lstat {path}: no such file or directory'
            )
            raise Refused(400, text)

        async def is_running() -> bool:
            if not container_id:
                return False
            try:
                return (await self._runtime.container_status(container_id)).state == interface.RUNNING
            except ContainerRuntimeError:
                return False

        headers = [(b"content-type", b"text/plain"), (b"transfer-encoding", b"chunked")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async with while_listened(until_gone(receive)):
            async for part in logs.read(path, options, self._clock, is_running):
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _log_options(self, query: Query) -> LogOptions:
        since = None
        if "sinceSeconds" in query:
            since = self._clock.now() - timedelta(seconds=int(query["sinceSeconds"][0]))
        if "sinceTime" in query:
            since = time.parse_time(query["sinceTime"][0])
        streams = {"Stdout": (b"stdout",), "Stderr": (b"stderr",)}.get(query.get("stream", ["All"])[0])
        return LogOptions(
            follow=_flag(query, "follow"),
            tail=int(query["tailLines"][0]) if "tailLines" in query else None,
            limit=int(query["limitBytes"][0]) if "limitBytes" in query else None,
            since=since,
            timestamps=_flag(query, "timestamps"),
            streams=streams or (b"stdout", b"stderr"),
        )

    async def _log_file(self, pod: Object, name: str, previous: bool) -> tuple[Path, str]:
        container = pod_containers.find(pod, name)
        if container is None:
            raise Refused(404, f"container {name} not found in pod {pod['metadata']['name']}")
        runs = (await state.read(self._runtime, uid_of(pod))).all_of(name)
        where = f'"{name}" in pod "{pod["metadata"]["name"]}"'
        if previous:
            dead = next((run for run in runs[1:] if run.state == interface.EXITED), None)
            if dead is None and runs and runs[0].state == interface.EXITED:
                dead = runs[0]
            if dead is None:
                raise Refused(400, f"previous terminated container {where} not found")
            return self._path_of(pod, dead), ""
        if not runs or runs[0].state == interface.CREATED:
            if len(runs) > 1:
                return self._path_of(pod, runs[1]), ""
            raise Refused(400, f"container {where} is waiting to start: {self._waiting_for(pod, name)}")
        return self._path_of(pod, runs[0]), runs[0].id

    def _waiting_for(self, pod: Object, name: str) -> str:
        """What a container without logs waits for, in the words that people look for."""
        status = pod_status.of_container(self._with_status(pod), name) or {}
        reason = str(((status.get("state") or {}).get("waiting") or {}).get("reason") or "ContainerCreating")
        return WAITING_WORDS.get(reason, reason)

    def _path_of(self, pod: Object, run: ContainerStatus) -> Path:
        if run.log_path:
            return Path(run.log_path)
        return log_directory(self._log_root, pod) / container_module.log_path(run.name, run.restart_count)

    # -- exec, attach, port-forward, run ---------------------------------------------------------------------------

    async def exec(self, scope: Scope, namespace: str, name: str, container: str) -> None:
        """`/exec/<namespace>/<pod>/<container>?command=…`."""
        query = parse_qs(scope["query_string"].decode())
        run = await self._running(self._pod(namespace, name), container)
        tty = _flag(query, "tty")
        url = await self._runtime.exec_url(
            run.id,
            query.get("command", []),
            tty=tty,
            stdin=_flag(query, "input", "stdin"),
            stdout=_flag(query, "output", "stdout"),
            stderr=_flag(query, "error", "stderr") and not tty,
        )
        await self._tunnel(scope, url)

    async def attach(self, scope: Scope, namespace: str, name: str, container: str) -> None:
        """`/attach/<namespace>/<pod>/<container>`."""
        query = parse_qs(scope["query_string"].decode())
        pod = self._pod(namespace, name)
        run = await self._running(pod, container)
        tty = bool((pod_containers.find(pod, run.name) or {}).get("tty"))
        url = await self._runtime.attach_url(
            run.id,
            tty=tty,
            stdin=_flag(query, "input", "stdin"),
            stdout=_flag(query, "output", "stdout"),
            stderr=_flag(query, "error", "stderr") and not tty,
        )
        await self._tunnel(scope, url)

    async def port_forward(self, scope: Scope, namespace: str, name: str) -> None:
        """`/portForward/<namespace>/<pod>?port=…`."""
        query = parse_qs(scope["query_string"].decode())
        pod = self._pod(namespace, name)
        found = await state.read(self._runtime, uid_of(pod))
        if found.sandbox is None or found.sandbox.state != interface.READY:
            raise Refused(404, f"pod {name}_{namespace} does not run")
        ports = [
            int(port)
            for text in (*query.get("port", []), *query.get("ports", []))
            for port in text.split(",")
        ]
        await self._tunnel(scope, await self._runtime.port_forward_url(found.sandbox.id, ports))

    async def run(self, scope: Scope, send: Send, namespace: str, name: str, container: str) -> None:
        """`/run/<namespace>/<pod>/<container>?cmd=…`: a command, its whole output."""
        query = parse_qs(scope["query_string"].decode())
        run = await self._running(self._pod(namespace, name), container)
        result = await self._runtime.exec_sync(run.id, query.get("cmd", [""])[0].split(), 60)
        await respond(send, 200, "text/plain; charset=utf-8", result.stdout + result.stderr)

    async def _tunnel(self, scope: Scope, url: str) -> None:
        target = urlsplit(url)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        await tunnel.open_tunnel(
            scope["state"]["protocol"],
            target.hostname or "127.0.0.1",
            target.port or 80,
            scope["method"],
            target.path + (f"?{target.query}" if target.query else ""),
            headers,
        )

    def _pod(self, namespace: str, name: str) -> Object:
        pod = self._pods.by_name(namespace, name)
        if pod is None:
            raise Refused(404, f'pod "{name}" does not exist')
        return pod

    def check(self, namespace: str, name: str, container: str) -> None:
        """Is there such a container? Raises Refused."""
        if pod_containers.find(self._pod(namespace, name), container) is None:
            raise Refused(404, f"container {container} not found in pod {name}")

    async def _running(self, pod: Object, name: str) -> ContainerStatus:
        found = await state.read(self._runtime, uid_of(pod))
        name = name or annotations_of(pod).get(DEFAULT_CONTAINER, "") or _first(pod)
        run = found.latest(name)
        if run is None or run.state != interface.RUNNING:
            raise Refused(404, f'container not found ("{name}")')
        return run


def _first(pod: Object) -> str:
    return next((container["name"] for container in pod_containers.containers_of(pod)), "")


def _flag(query: Query, *names: str) -> bool:
    return any(query.get(name, [""])[0] in ("1", "true", "True") for name in names)


def parts_of(path: str) -> list[str]:
    """The elements of a path."""
    return [part for part in path.split("/") if part]
