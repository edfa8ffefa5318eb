"""Whatever becomes of a request, its connection is not left to the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client.connection import NetworkAnswer
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.reflector import Reflector
from kubarium.client.rest import Client
from kubarium.component_base.clock import FakeClock

Answering = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
LIST = b'{"kind": "ConfigMapList", "metadata": {"resourceVersion": "1"}, "items": []}'
EVENT = b'{"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "2"}}}\n'


@asynccontextmanager
async def serving(answer: Answering) -> AsyncIterator[Client]:
    """A client of a server that answers as told; afterwards nothing may be found unclosed."""
    served = set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await answer(head.split(b"\r\n")[0], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        async with server, Client(ClientConfig(f"http://127.0.0.1:{port}")) as client:
            yield client
        await asyncio.wait([task for task in served if task])  # they have seen the client hang up
        gc.collect()
    assert [str(warning.message) for warning in found] == []


def head(length: int, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, length)


def in_two_parts(status: bytes, body: bytes) -> Answering:
    """The head, then the body some turns of the loop later: an answer that nobody reads would keep its connection."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(head(len(body), status))
        for _turn in range(20):
            await asyncio.sleep(0)
        writer.write(body)

    return answer


async def test_an_answer_comes_whole_whoever_wants_it() -> None:
    async with serving(in_two_parts(b"200 OK", b"{}")) as client:
        assert (await client.fetch("GET", "/")).content == b"{}"
        assert await client.request("GET", "/") == {}


async def test_a_refused_stream_is_read_to_its_end() -> None:
    async with serving(in_two_parts(b"404 Not Found", b"nothing")) as client:
        with pytest.raises(errors.NotFound):
            async with client.stream("GET", "/"):
                pass


async def test_a_caller_may_go_before_the_head_or_before_the_body() -> None:
    asked = asyncio.Queue[None]()

    async def only_a_head(line: bytes, writer: asyncio.StreamWriter) -> None:
        if b"/headless" not in line:
            writer.write(head(9))
            await writer.drain()
        asked.put_nowait(None)

    async with serving(only_a_head) as client:
        for path in ("/headless", "/bodyless"):
            request = asyncio.ensure_future(client.fetch("GET", path))
            await asked.get()
            await asyncio.sleep(0)
            request.cancel()
            await asyncio.wait([request])


async def test_a_receiver_that_fails_ends_its_watch_at_once() -> None:
    watched = list[asyncio.StreamWriter]()

    async def watch(line: bytes, writer: asyncio.StreamWriter) -> None:
        if b"watch" in line:
            watched.append(writer)
        writer.write(head(10_000) + EVENT if b"watch" in line else head(len(LIST)) + LIST)

    def fail(_: Object) -> None:
        raise LookupError("a mistake in a handler")

    async with serving(watch) as client:
        maps = client.resource("v1", "configmaps")
        reflector = Reflector(maps, FakeClock(), replace=lambda _: None, change=fail, remove=lambda _: None)
        with pytest.raises(LookupError) as kept:
            await reflector.run()
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                await watched[0].wait_closed()
        del kept  # with its frames, which hold what the reflector held


async def test_a_watch_that_breaks_off_within_an_event_is_a_lost_connection() -> None:
    async with serving(in_two_parts(b"200 OK", EVENT + EVENT[:30])) as client:
        events = client.resource("v1", "configmaps").watch()
        assert (await anext(events)).obj["metadata"]["name"] == "a"
        with pytest.raises(ConnectionError, match="within an event"):
            await anext(events)


async def test_the_kernel_asks_the_server_of_a_silent_connection_for_a_sign_of_life() -> None:
    async with serving(in_two_parts(b"200 OK", b"{}")) as client, client.stream("GET", "/") as answer:
        assert isinstance(answer, NetworkAnswer)
        transport = answer._connection._transport
        assert transport is not None
        connection = transport.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        await answer.read()
