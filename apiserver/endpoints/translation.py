"""WebSockets of clients carried on as SPDY, so that a container runtime need not speak the newer protocols.

    v5.channel.k8s.io            exec, attach: each channel becomes a stream of a SPDY connection to the kubelet
    SPDY/3.1+portforward.k8s.io  port-forward: the client's own SPDY connection, taken out of binary messages

Everything else that asks for an upgrade is tunnelled as it is.

Source: https://kep.k8s.io/4006
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from apiserver.endpoints.backends import Backends, Place
from apiserver.endpoints.proxying import upgrade_of
from apiserver.endpoints.server import Scope
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.component_base import spdy
from kubarium.component_base.channels import CLOSE, ERROR, STREAMS, WebSocket
from kubarium.component_base.tunnel import HEAD_END, streams_of

CHANNELS = "v5.channel.k8s.io"
TUNNEL = "SPDY/3.1+portforward.k8s.io"
_EXEC_OVER_SPDY = "v4.channel.k8s.io"
_FORWARD_OVER_SPDY = "portforward.k8s.io"
CHUNK = 32 * 1024
_REFUSAL_LIMIT = 50_000  # bytes of a kubelet's explanation that are read
_SUCCESS: Object = {"metadata": {}, "status": "Success"}
_EXIT = "NonZeroExitCode"


def wants(scope: Scope, protocol: str) -> bool:
    """Does the client offer this protocol over a WebSocket?"""
    if upgrade_of(scope).lower() != b"websocket":
        return False
    offered = b",".join(value for name, value in scope["headers"] if name == b"sec-websocket-protocol")
    return protocol in [word.strip() for word in offered.decode("latin-1").split(",")]


@dataclass(frozen=True, slots=True)
class Far:
    """A connection to a kubelet that has agreed to speak SPDY."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


async def dial(backends: Backends, place: Place, target: str, protocol: str) -> Far:
    """Ask the kubelet for SPDY. Raises OSError, or StatusError with what the kubelet said instead."""
    tls = backends.tls(place) if place.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        place.host, place.port, ssl=tls, server_hostname=place.host if tls is not None else None
    )
    lines = [
        f"POST {target} HTTP/1.1",
        f"Host: {place.url.partition('://')[2]}",
        "Connection: Upgrade",
        "Upgrade: SPDY/3.1",
        f"X-Stream-Protocol-Version: {protocol}",
        "Content-Length: 0",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    explained = ""
    try:
        head = await reader.readuntil(HEAD_END)
        if head.split(b" ", 2)[1:2] == [b"101"]:
            return Far(reader, writer)
        explained = (await reader.read(_REFUSAL_LIMIT)).decode(errors="replace").strip()
    except asyncio.IncompleteReadError:
        explained = "the connection was closed"
    writer.close()
    raise errors.InternalError.because(f"unable to upgrade connection: {explained}")


async def carry_channels(
    backends: Backends, place: Place, scope: Scope, target: str, names: Sequence[str]
) -> None:
    """Serve the client's WebSocket; `names` are the streams that it asked for. The last message is how it ended."""
    near_reader, near_writer = streams_of(_protocol_of(scope))
    socket = WebSocket(near_reader, near_writer, _head_of(scope), (CHANNELS,))
    try:
        status = await _outcome(backends, place, target, names, socket)
        await socket.send(bytes((ERROR,)) + orjson.dumps(status))
        await socket.close()
    finally:
        near_writer.close()


async def _outcome(
    backends: Backends, place: Place, target: str, names: Sequence[str], socket: WebSocket
) -> Object:
    """Carry everything to and fro; how it ended, as a Status."""
    try:
        far = await dial(backends, place, target, _EXEC_OVER_SPDY)
    except (OSError, errors.StatusError) as error:
        return errors.InternalError.because(str(error)).status()
    try:
        return shown_status(await _carry(far, names, socket))
    except OSError as error:
        return errors.InternalError.because(str(error)).status()
    finally:
        far.writer.close()


def shown_status(said: bytes) -> Object:
    """What the kubelet said of the end, as a client of the API server hears it."""
    status: Object = orjson.loads(said) if said else _SUCCESS
    if status.get("status") == "Success":
        return _SUCCESS
    if status.get("reason") != _EXIT:
        return errors.InternalError.because(status.get("message") or "").status()
    causes = (status.get("details") or {}).get("causes") or [{}]
    text = f"command terminated with exit code {causes[0].get('message')}"
    return {
        "metadata": {},
        "status": "Failure",
        "reason": _EXIT,
        "message": f"command terminated with non-zero exit code: {text}",
        "details": {"causes": causes},
    }


async def _carry(far: Far, names: Sequence[str], socket: WebSocket) -> bytes:
    connection = spdy.Connection(far.writer.write)
    streams = {STREAMS[name]: connection.open({"streamtype": name}) for name in ("error", *names)}
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_listen(far, streams, socket))
        said = await _pass_on(far, connection, streams, socket)
        listening.cancel()
    return said


async def _listen(far: Far, streams: dict[int, spdy.Stream], socket: WebSocket) -> None:
    """What the client says goes to the kubelet, until the client is gone.

    A process that reads is then let to its end, as it may not have got all yet: a copied file is sent and left alone.
    """
    while message := await socket.receive():
        channel, content = message[0], message[1:]
        if channel == CLOSE and content[:1]:
            if (ended := streams.get(content[0])) is not None:
                ended.close()
        elif channel in streams and channel != ERROR:
            streams[channel].write(content)
        await far.writer.drain()
    await socket.close()
    if STREAMS["stdin"] in streams:
        streams[STREAMS["stdin"]].close()
        await far.writer.drain()
    else:
        far.writer.close()


async def _pass_on(
    far: Far, connection: spdy.Connection, streams: dict[int, spdy.Stream], socket: WebSocket
) -> bytes:
    """What the kubelet says goes to the client as fast as it reads; returned is what came on the error stream."""
    said = b""
    speaking = {channel for channel in streams if channel in (STREAMS["stdout"], STREAMS["stderr"], ERROR)}
    while speaking and (data := await far.reader.read(CHUNK)):
        connection.feed(data)
        for channel in tuple(speaking):
            received = streams[channel].received
            while not received.empty():
                piece = received.get_nowait()
                if piece is None:
                    speaking.discard(channel)
                elif channel == ERROR:
                    said += piece
                else:
                    await socket.send(bytes((channel,)) + piece)
    return said


async def carry_tunnel(backends: Backends, place: Place, scope: Scope, target: str) -> None:
    """Serve a SPDY connection within a WebSocket: only bytes, which nobody here looks into."""
    far = await dial(backends, place, target, _FORWARD_OVER_SPDY)
    try:
        near_reader, near_writer = streams_of(_protocol_of(scope))
        socket = WebSocket(near_reader, near_writer, _head_of(scope), (TUNNEL,))
        try:
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_fill(far, socket))
                while data := await far.reader.read(CHUNK):
                    await socket.send(data)
                listening.cancel()
            await socket.close()
        finally:
            near_writer.close()
    finally:
        far.writer.close()


async def _fill(far: Far, socket: WebSocket) -> None:
    while message := await socket.receive():
        far.writer.write(message)
        await far.writer.drain()
    far.writer.close()


def _protocol_of(scope: Scope) -> Any:
    protocol = (scope.get("state") or {}).get("protocol")
    if protocol is None:
        raise errors.InternalError.because("this connection cannot be upgraded")
    return protocol


def _head_of(scope: Scope) -> bytes:
    """The head of the request, as a library for WebSockets wants to read it."""
    lines = [b"GET / HTTP/1.1", *(name + b": " + value for name, value in scope["headers"])]
    return b"\r\n".join([*lines, b"", b""])
