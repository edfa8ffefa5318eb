"""Exec, attach and port-forward: several byte streams over one WebSocket.

Each message begins with a byte that names its channel: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 the
terminal's size. Version 5 of the protocol can also close stdin (255, channel); where the server refuses it,
version 4 is spoken, in which a command that reads its input to the end never sees one.
Source: https://kubernetes.io/docs/reference/using-api/websockets/ (subprotocols `v5.channel.k8s.io`, `v4…`)
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
import yarl

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.lean_aiohttp import aiohttp
from kubarium.client.rest import Client, error_of
from kubarium.client.transport import NetworkTransport, Query

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")


class Stream:
    """One open WebSocket with channels."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.protocol = socket.protocol or ""

    async def send(self, channel: int, data: bytes) -> None:
        """Send bytes into a channel."""
        await self._socket.send_bytes(bytes([channel]) + data)

    async def close_channel(self, channel: int) -> bool:
        """Say that a channel has ended; false when the protocol cannot say that."""
        if not self.protocol.startswith("v5"):
            return False
        await self._socket.send_bytes(bytes([CLOSE, channel]))
        return True

    async def resize(self, width: int, height: int) -> None:
        """Tell the size of the terminal."""
        await self.send(RESIZE, orjson.dumps({"Width": width, "Height": height}))

    async def messages(self) -> AsyncIterator[tuple[int, bytes]]:
        """Channel and bytes, until the other side ends the stream."""
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.BINARY and message.data:
                yield message.data[0], message.data[1:]
            elif message.type == aiohttp.WSMsgType.TEXT and message.data:
                data = message.data.encode()
                yield data[0], data[1:]
            elif message.type == aiohttp.WSMsgType.ERROR:
                raise ConnectionError(str(self._socket.exception()))

    async def close(self) -> None:
        """End the stream."""
        await self._socket.close()


async def open_stream(
    client: Client, path: str, query: Query, protocols: tuple[str, ...] = PROTOCOLS
) -> Stream:
    """Open a stream in the best protocol that the other side speaks. Raises StatusError."""
    transport = client.transport
    if not isinstance(transport, NetworkTransport):
        raise TypeError("streams need a network")
    url = yarl.URL(client.config.server).with_path(path).with_query(_pairs(query))
    for protocol in protocols:
        try:
            socket = await transport.web_socket(url, protocol, client.headers({"Accept": "*/*"}))
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (400, 403) and protocol != protocols[-1]:
                continue
            raise await _refusal(client, path, query, error) from error
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        return Stream(socket)
    raise AssertionError("unreachable")


def exit_code(status: Object) -> int:
    """The exit code in a final Status; 0 for success. Raises StatusError for anything but an exit."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise errors.from_status(status)


async def _refusal(
    client: Client, path: str, query: Query, error: aiohttp.WSServerHandshakeError
) -> errors.StatusError:
    """A handshake's answer has no body that one can read here: a plain request gets the same refusal with one."""
    try:
        target = str(yarl.URL(path).with_query(_pairs(query)))
        answer = await client.transport.send("GET", target, client.headers(), None, 10.0)
        if answer.status >= 400 and answer.status == error.status:
            return error_of(answer.status, await answer.read())
        answer.close()
    except (ConnectionError, TimeoutError):
        pass
    return errors.from_status(
        {"code": error.status, "message": error.message or "upgrade refused", "reason": ""}
    )


def _pairs(query: Query) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        values: list[Any] = value if isinstance(value, list) else [value]
        for each in values:
            if each is True:
                found.append((name, "true"))
            elif each not in (None, False, ""):
                found.append((name, str(each)))
    return found
