"""Streams to processes for a runtime that has none of Kubernetes' own: a small WebSocket server on loopback.

The kubelet asks for a URL, which serves once, and tunnels the client to it. Spoken are the subprotocols
`v5.channel.k8s.io`, `v4.channel.k8s.io` and `channel.k8s.io`; the first byte of each message is the channel:
0 stdin, 1 stdout, 2 stderr, 3 the end as a `Status`, 4 the size of the terminal, 255 (v5) "this channel is at its end".
For ports, channel 2n carries the data and 2n+1 the errors of the nth port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import WSMsgType, web

from kubelet.runtime import docker_api
from kubelet.runtime.docker_api import EngineClient
from kubelet.runtime.interface import ContainerRuntimeError

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
CHUNK = 32 * 1024
EXPIRY = 60.0  # seconds that a URL waits for its user

Serve = Callable[[web.WebSocketResponse], Awaitable[None]]


class Streams:
    """The server, started when the first URL is asked for."""

    def __init__(self, api: EngineClient) -> None:
        self._api = api
        self._runner: web.AppRunner | None = None
        self._base = ""
        self._tickets: dict[str, Serve] = {}
        self._starting = asyncio.Lock()

    async def close(self) -> None:
        """Stop serving."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def exec_url(
        self, container_id: str, command: Sequence[str], tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """A ticket for a new command."""

        async def serve(socket: web.WebSocketResponse) -> None:
            request = {
                "AttachStdin": stdin,
                "AttachStdout": stdout,
                "AttachStderr": stderr,
                "Tty": tty,
                "Cmd": list(command),
            }
            made = await self._api.call("POST", f"/containers/{container_id}/exec", request)
            path = f"/exec/{made['Id']}"
            start = {"Detach": False, "Tty": tty}
            process = await self._api.hijack(f"{path}/start", start)
            await _Session(socket, self._api, path, tty).run(*process)
            code = (await self._api.get(f"{path}/json"))["ExitCode"] or 0
            await _say_end(socket, code)

        return await self._ticket("exec", serve)

    async def attach_url(self, container_id: str, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        """A ticket for the main process of a container."""

        async def serve(socket: web.WebSocketResponse) -> None:
            path = f"/containers/{container_id}"
            which = {"stream": 1, "stdin": int(stdin), "stdout": int(stdout), "stderr": int(stderr)}
            process = await self._api.hijack(f"{path}/attach", None, **which)
            await _Session(socket, self._api, path, tty).run(*process)
            await _say_end(socket, 0)

        return await self._ticket("attach", serve)

    async def port_forward_url(self, address: str, ports: Sequence[int]) -> str:
        """A ticket for ports at an address."""

        async def serve(socket: web.WebSocketResponse) -> None:
            await _forward(socket, address, ports)

        return await self._ticket("portforward", serve)

    async def _ticket(self, kind: str, serve: Serve) -> str:
        async with self._starting:
            if self._runner is None:
                await self._start()
        token = secrets.token_urlsafe(8)
        self._tickets[token] = serve
        asyncio.get_running_loop().call_later(EXPIRY, self._tickets.pop, token, None)
        return f"{self._base}/{kind}/{token}"

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{kind}/{token}", self._handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self._runner, self._base = runner, f"http://{host}:{port}"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        serve = self._tickets.pop(request.match_info["token"], None)
        if serve is None:
            raise web.HTTPNotFound()
        socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=0)
        if not socket.can_prepare(request).ok:
            raise web.HTTPForbidden(text="only WebSocket streams are served with the Docker Engine")
        await socket.prepare(request)
        try:
            await serve(socket)
        except (ContainerRuntimeError, OSError) as error:
            await _send(socket, ERROR, json.dumps(_failure(str(error))).encode())
        await socket.close()
        return socket


class _Session:
    """One client and one process."""

    def __init__(self, socket: web.WebSocketResponse, api: EngineClient, path: str, tty: bool) -> None:
        self._socket = socket
        self._api = api
        self._path = path
        self._tty = tty

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry bytes both ways until the process has said all."""
        await _send(self._socket, STDOUT, b"")  # the client waits for a sign
        up = asyncio.ensure_future(self._up(writer))
        down = asyncio.ensure_future(self._down(reader))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if not up.done() or not self._socket.closed:
                await down
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
                await _send(self._socket, channel, piece)

    async def _up(self, writer: asyncio.StreamWriter) -> None:
        async for message in self._socket:
            data = message.data if message.type == WSMsgType.BINARY else str(message.data).encode()
            if not data:
                continue
            channel, content = data[0], data[1:]
            if channel == STDIN:
                writer.write(content)
                await writer.drain()
            elif channel == RESIZE:
                await self._resize(json.loads(content))
            elif channel == CLOSE and content[:1] == bytes((STDIN,)) and writer.can_write_eof():
                writer.write_eof()

    async def _resize(self, size: Any) -> None:
        with contextlib.suppress(ContainerRuntimeError):  # the process may have ended
            await self._api.call("POST", f"{self._path}/resize", h=size["Height"], w=size["Width"])


async def _forward(socket: web.WebSocketResponse, address: str, ports: Sequence[int]) -> None:
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks: list[asyncio.Task[None]] = []
    try:
        for index, port in enumerate(ports):
            number = port.to_bytes(2, "little")
            await _send(socket, 2 * index, number)
            await _send(socket, 2 * index + 1, number)
            try:
                reader, writers[2 * index] = await asyncio.open_connection(address, port)
            except OSError as error:
                text = f"failed to connect to localhost:{port} inside the pod: {error.strerror}"
                await _send(socket, 2 * index + 1, text.encode())
                continue
            tasks.append(asyncio.ensure_future(_carry(reader, socket, 2 * index)))
        listener = asyncio.ensure_future(_to_ports(socket, writers))
        everything = asyncio.gather(*tasks)
        await asyncio.wait((listener, everything), return_when=asyncio.FIRST_COMPLETED)
        tasks.append(listener)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers.values():
            writer.close()


async def _carry(reader: asyncio.StreamReader, socket: web.WebSocketResponse, channel: int) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            await _send(socket, channel, data)


async def _to_ports(socket: web.WebSocketResponse, writers: dict[int, asyncio.StreamWriter]) -> None:
    async for message in socket:
        if message.type == WSMsgType.BINARY and message.data and message.data[0] in writers:
            writer = writers[message.data[0]]
            writer.write(message.data[1:])
            await writer.drain()


async def _send(socket: web.WebSocketResponse, channel: int, content: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.send_bytes(bytes((channel,)) + content)


async def _say_end(socket: web.WebSocketResponse, code: int) -> None:
    await _send(socket, ERROR, json.dumps(_end(code)).encode())


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
