"""Streams to processes for a runtime that has none of Kubernetes' own: a small server on loopback.

The kubelet asks for a URL, which serves once, and tunnels the client to it. Clients speak WebSocket or SPDY
(`channels.py`); the engine speaks a raw stream, with a header before each piece of output if there is no terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubarium.component_base import channels, spdy
from kubarium.component_base.channels import (
    CHUNK,
    ERROR,
    STDOUT,
    Channels,
    SPDYChannels,
    SPDYClient,
    WebSocketChannels,
)
from kubelet.runtime import docker_api, netns
from kubelet.runtime.docker_api import EngineClient
from kubelet.runtime.interface import ContainerRuntimeError

EXPIRY = 60.0  # seconds that a URL waits for its user
FORWARD_PROTOCOL = "portforward.k8s.io"


@dataclass(frozen=True, slots=True)
class Command:
    """A process to talk to; `run` does it, to the process's end."""

    run: Callable[[Channels], Awaitable[None]]
    streams: int  # that a SPDY client opens


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports to talk to, on loopback of a network namespace."""

    netns: Path
    ports: Sequence[int]


class Streams:
    """The server, started when the first URL is asked for."""

    def __init__(self, api: EngineClient) -> None:
        self._api = api
        self._server: asyncio.Server | None = None
        self._base = ""
        self._tickets: dict[str, Command | Ports] = {}
        self._clients: set[asyncio.Task[Any]] = set()
        self._starting = asyncio.Lock()

    async def close(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def exec_url(
        self, container_id: str, command: Sequence[str], tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """A ticket for a new command."""

        async def run(client: Channels) -> None:
            request = {
                "AttachStdin": stdin,
                "AttachStdout": stdout,
                "AttachStderr": stderr,
                "Tty": tty,
                "Cmd": list(command),
            }
            made = await self._api.call("POST", f"/containers/{container_id}/exec", request)
            path = f"/exec/{made['Id']}"
            process = await self._api.hijack(f"{path}/start", {"Detach": False, "Tty": tty})
            await _Session(client, self._api, path, tty).run(*process)
            code = (await self._api.get(f"{path}/json"))["ExitCode"] or 0
            await client.send(ERROR, json.dumps(_end(code)).encode())

        return await self._ticket("exec", Command(run, 1 + stdin + stdout + stderr + tty))

    async def attach_url(self, container_id: str, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        """A ticket for the main process of a container."""

        async def run(client: Channels) -> None:
            path = f"/containers/{container_id}"
            which = {"stream": 1, "stdin": int(stdin), "stdout": int(stdout), "stderr": int(stderr)}
            process = await self._api.hijack(f"{path}/attach", None, **which)
            await _Session(client, self._api, path, tty).run(*process)
            await client.send(ERROR, json.dumps(_end(0)).encode())

        return await self._ticket("attach", Command(run, 1 + stdin + stdout + stderr + tty))

    async def port_forward_url(self, sandbox_netns: Path, ports: Sequence[int]) -> str:
        """A ticket for ports of a sandbox."""
        return await self._ticket("portforward", Ports(sandbox_netns, ports))

    async def _ticket(self, kind: str, target: Command | Ports) -> str:
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.start_server(self._handle, "127.0.0.1", 0)
                self._base = "http://{}:{}".format(*self._server.sockets[0].getsockname()[:2])
        token = secrets.token_urlsafe(8)
        self._tickets[token] = target
        asyncio.get_running_loop().call_later(EXPIRY, self._tickets.pop, token, None)
        return f"{self._base}/{kind}/{token}"

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            pass  # the client went away, or never was one
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path, headers = channels.parse_head(head)
        target = self._tickets.pop(path.partition("?")[0].rpartition("/")[2], None)
        upgrade = headers.get("upgrade", "").lower()
        if target is None:
            _refuse(writer, "404 Not Found", "there is no such stream")
        elif upgrade == "websocket":
            socket = WebSocketChannels(reader, writer, head)
            if socket.accepted:
                await _run_socket(socket, target)
        elif upgrade == "spdy/3.1":
            await _serve_spdy(reader, writer, headers, target)
        else:
            _refuse(writer, "400 Bad Request", "Upgrade request required")
        await writer.drain()


def _refuse(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
    writer.write(f"{head}Connection: close\r\n\r\n{text}".encode())


async def _run_socket(socket: WebSocketChannels, target: Command | Ports) -> None:
    if isinstance(target, Ports):
        await _forward_channels(socket, target)
    else:
        await _run_command(socket, target)
    await socket.close()


async def _run_command(client: Channels, command: Command) -> None:
    try:
        await command.run(client)
    except (ContainerRuntimeError, OSError) as error:
        await client.send(ERROR, json.dumps(_failure(str(error))).encode())


async def _serve_spdy(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    headers: Mapping[str, str],
    target: Command | Ports,
) -> None:
    offered = [word.strip() for word in headers.get("x-stream-protocol-version", "").split(",")]
    wanted = FORWARD_PROTOCOL if isinstance(target, Ports) else SPDYChannels.PROTOCOL
    if wanted not in offered:
        _refuse(writer, "403 Forbidden", f"unable to upgrade: only {wanted} is spoken here")
        return
    head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    writer.write(f"{head}X-Stream-Protocol-Version: {wanted}\r\n\r\n".encode())
    client = SPDYClient(reader, writer)
    pump = asyncio.ensure_future(client.run())
    try:
        if isinstance(target, Ports):
            await _forward_streams(client, target)
        else:
            streams = SPDYChannels(client)
            await streams.open(target.streams)
            await _run_command(streams, target)
            await streams.close()
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


class _Session:
    """One client and one process."""

    def __init__(self, client: Channels, api: EngineClient, path: str, tty: bool) -> None:
        self._client = client
        self._api = api
        self._path = path
        self._tty = tty

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until the process has said all, or nobody listens any more."""
        await self._client.send(STDOUT, b"")  # the client waits for a sign
        up = asyncio.ensure_future(self._up(writer))
        down = asyncio.ensure_future(self._down(reader))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            writer.close()

    async def _down(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                if self._tty:
                    piece, channel = await reader.read(CHUNK), STDOUT
                    if not piece:
                        return
                else:
                    head = await reader.readexactly(docker_api.HEADER.size)
                    channel, length = docker_api.HEADER.unpack(head)
                    piece = await reader.readexactly(length)
                await self._client.send(channel, piece)

    async def _up(self, writer: asyncio.StreamWriter) -> None:
        """Ends when the client is gone; the end of its input alone is no such thing."""
        while (message := await self._client.receive()) is not None:
            channel, content = message
            if channel == channels.STDIN:
                writer.write(content)
                await writer.drain()
            elif channel == channels.RESIZE:
                await self._resize(json.loads(content))
            elif channel == channels.CLOSE and content == channels.STDIN_ENDS and writer.can_write_eof():
                writer.write_eof()

    async def _resize(self, size: Any) -> None:
        with contextlib.suppress(ContainerRuntimeError):  # the process may have ended
            await self._api.call("POST", f"{self._path}/resize", h=size["Height"], w=size["Width"])


async def _forward_channels(client: Channels, target: Ports) -> None:
    """Channel 2n carries the data of the nth port, 2n+1 its errors; each begins with the port's number."""
    writers: dict[int, asyncio.StreamWriter] = {}
    carriers: list[asyncio.Task[None]] = []
    for index, port in enumerate(target.ports):
        for channel in (2 * index, 2 * index + 1):
            await client.send(channel, port.to_bytes(2, "little"))
        try:
            reader, writers[2 * index] = await netns.connect(target.netns, port)
        except OSError as error:
            await client.send(2 * index + 1, _no_connection(port, error))
        else:
            carriers.append(asyncio.ensure_future(_carry(reader, client, 2 * index)))
    listener = asyncio.ensure_future(_to_ports(client, writers))
    everything = asyncio.gather(*carriers)
    try:
        await asyncio.wait((listener, everything), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (listener, everything):
            task.cancel()
        await asyncio.gather(listener, everything, return_exceptions=True)
        for writer in writers.values():
            writer.close()


async def _carry(reader: asyncio.StreamReader, client: Channels, channel: int) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            await client.send(channel, data)


async def _to_ports(client: Channels, writers: Mapping[int, asyncio.StreamWriter]) -> None:
    while (message := await client.receive()) is not None:
        writer = writers.get(message[0])
        if writer is not None:
            writer.write(message[1])
            await writer.drain()


async def _forward_streams(client: SPDYClient, target: Ports) -> None:
    """Each connection of the client is a pair of streams with one request id: errors first, then data."""
    errors: dict[str, spdy.Stream] = {}
    async with asyncio.TaskGroup() as connections:
        while (stream := await client.opened.get()) is not None:
            request = stream.headers.get("requestid", stream.headers.get("port", ""))
            if stream.headers.get("streamtype") == "error":
                errors[request] = stream
            else:
                work = _forward_one(client, target.netns, stream, errors.pop(request, None))
                connections.create_task(work)


async def _forward_one(
    client: SPDYClient, where: Path, data: spdy.Stream, errors: spdy.Stream | None
) -> None:
    port = int(data.headers.get("port", "0"))
    try:
        reader, writer = await netns.connect(where, port)
    except OSError as error:
        if errors is not None:
            errors.write(_no_connection(port, error))
    else:
        up = asyncio.ensure_future(_send_all(data, writer))
        try:
            with contextlib.suppress(ConnectionError):
                while piece := await reader.read(CHUNK):
                    data.write(piece)
                    await client.writer.drain()
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)
            writer.close()
    data.close()
    if errors is not None:
        errors.close()


async def _send_all(stream: spdy.Stream, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await stream.received.get():
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


def _no_connection(port: int, error: OSError) -> bytes:
    return f"failed to connect to localhost:{port} inside the pod: {(error.strerror or str(error)).lower()}".encode()


def _end(code: int) -> dict[str, Any]:
    """The `Status` that tells the client how a command ended."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failure(text: str) -> dict[str, Any]:
    return {"metadata": {}, "status": "Failure", "message": text, "reason": "InternalError", "code": 500}
