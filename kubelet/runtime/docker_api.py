"""The Docker Engine's HTTP API over its unix socket: requests, streams of events, raw streams of commands.

Errors of the engine become the errors of `interface.py` here and nowhere else. No version is named in the paths, so
the engine serves each request in its own newest one; what is used here has not changed since 1.24.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from kubarium.client.lean_aiohttp import aiohttp
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerRuntimeError

TIMEOUT = 120.0  # seconds; upstream's --runtime-request-timeout of 2m
STDOUT, STDERR = 1, 2
HEADER = struct.Struct(">BxxxL")  # stream, length: before every piece of output without a terminal


class Conflict(ContainerRuntimeError):
    """The name is taken, or the thing is not in the state for this."""


ERRORS: dict[int, type[ContainerRuntimeError]] = {404: interface.NotFound, 409: Conflict}


class EngineClient:
    """One engine."""

    def __init__(self, socket: str, timeout: float = TIMEOUT) -> None:
        self._socket = socket
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, deadline: float | None = None, **query: Any) -> Any:
        """The answer to a question."""
        return await self.call("GET", path, deadline=deadline, **query)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Any:
        """One request; returns the JSON of the answer, or None if there is none."""
        deadline = self._timeout if deadline is None else deadline
        async with self._request(method, path, body, deadline, headers, query) as response:
            data = await response.read()
        return json.loads(data) if data.strip() and response.content_type == "application/json" else None

    async def lines(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        deadline: float = 0,
        **query: Any,
    ) -> AsyncIterator[Any]:
        """The JSON documents of an answer that comes bit by bit."""
        async with self._request(method, path, None, deadline, headers, query) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *complete, rest = (rest + chunk).split(b"\n")
                for line in complete:
                    if line.strip():
                        yield json.loads(line)
            if rest.strip():
                yield json.loads(rest)

    async def output(self, path: str, body: Any, deadline: float = 0) -> tuple[bytes, bytes]:
        """All that a command says, standard output and errors apart."""
        async with self._request("POST", path, body, deadline, None, {}) as response:
            data = await response.read()
        parts: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
        for stream, piece in frames(data):
            parts.setdefault(stream, []).append(piece)
        return b"".join(parts[STDOUT]), b"".join(parts[STDERR])

    async def hijack(
        self, path: str, body: Any, **query: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that, after the request, belongs to a process: raw in both directions."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket)
        except OSError as error:
            raise interface.Unavailable(str(error)) from error
        content = json.dumps(body).encode() if body is not None else b""
        words = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
        head = (
            f"POST {path}{'?' + words if words else ''} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
            f"Upgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = int(answer.split(b" ", 2)[1])
        if status not in (101, 200):
            text = (await reader.read(4096)).decode(errors="replace")
            writer.close()
            raise ERRORS.get(status, ContainerRuntimeError)(_message(text))
        return reader, writer

    @contextlib.asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        body: Any,
        deadline: float,
        headers: Mapping[str, str] | None,
        query: Mapping[str, Any],
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                "http://docker", connector=aiohttp.UnixConnector(self._socket, limit=0)
            )
        words = {key: _text(value) for key, value in query.items()}
        timeout = aiohttp.ClientTimeout(total=deadline or None)
        try:
            async with self._session.request(
                method, path, params=words, json=body, headers=headers, timeout=timeout
            ) as response:
                if response.status >= 400:
                    error = ERRORS.get(response.status, ContainerRuntimeError)
                    raise error(_message(await response.text()))
                yield response
        except TimeoutError as error:
            raise interface.DeadlineExceeded(f"{method} {path}: no answer in {deadline:.0f} s") from error
        except aiohttp.ClientConnectionError as error:
            raise interface.Unavailable(
                f"Cannot connect to the Docker daemon at unix://{self._socket}. Is the docker daemon running?"
            ) from error
        except aiohttp.ClientError as error:
            raise ContainerRuntimeError(str(error)) from error


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The pieces of a multiplexed stream."""
    position = 0
    while position + HEADER.size <= len(data):
        stream, length = HEADER.unpack_from(data, position)
        position += HEADER.size
        yield stream, data[position : position + length]
        position += length


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
