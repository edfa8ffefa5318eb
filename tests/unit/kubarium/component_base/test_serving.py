"""What goes over a connection of our servers, piece by piece."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
import uvicorn

from kubarium.component_base import serving
from kubarium.component_base.serving import IdentifyingProtocol, respond


class Wire(asyncio.Transport):
    """What the server writes."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False
        self.ended = asyncio.Event()

    def write(self, data: Any) -> None:
        self.pieces.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        self.ended.set()

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""


def protocol_of(app: Any) -> tuple[IdentifyingProtocol, uvicorn.server.ServerState]:
    config = uvicorn.Config(app, log_config=None, access_log=False, date_header=False, server_header=False)
    config.load()
    state = uvicorn.server.ServerState()
    return IdentifyingProtocol(config=config, server_state=state, app_state={}), state


async def pieces_of(app: Any, *requests: bytes) -> list[bytes]:
    protocol, state = protocol_of(app)
    wire = Wire()
    protocol.connection_made(wire)
    for request in requests:
        protocol.data_received(request)
        while state.tasks:
            await asyncio.gather(*state.tasks)
    protocol.connection_lost(None)
    return wire.pieces


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await respond(send, 200, "text/plain", scope["query_string"])


def lines(pieces: Sequence[bytes]) -> list[list[bytes]]:
    return [piece.split(b"\r\n") for piece in pieces]


async def test_head_and_body_of_an_answer_go_out_together() -> None:
    get = b"GET /?%b HTTP/1.1\r\nhost: x\r\n\r\n"
    found = await pieces_of(answer, get % b"one", get % b"two", get % (b"x" * 60_000))
    assert [(piece[0], piece[-1][:3]) for piece in lines(found)] == [
        (b"HTTP/1.1 200 OK", b"one"),
        (b"HTTP/1.1 200 OK", b"two"),
        (b"HTTP/1.1 200 OK", b"xxx"),
    ]


async def test_a_head_without_a_body_goes_out() -> None:
    found = await pieces_of(answer, b"HEAD /?x HTTP/1.1\r\nhost: x\r\n\r\n")
    assert lines(found) == [[b"HTTP/1.1 200 OK", b"content-type: text/plain", b"content-length: 1", b"", b""]]


async def test_the_head_of_a_stream_does_not_wait() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        found.append(len(wire_of(send)))
        await send({"type": "http.response.body", "body": b"late"})

    def wire_of(send: Any) -> list[bytes]:
        pieces: list[bytes] = send.__self__.transport._transport.pieces
        return pieces

    found: list[int] = []
    pieces = await pieces_of(stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert found == [1] and pieces[1] == b"4\r\nlate\r\n0\r\n\r\n"


async def test_what_was_said_is_not_lost_when_the_rest_fails() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        raise ValueError("on purpose")

    async def continued(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, 200, "text/plain", (await receive())["body"])

    found = await pieces_of(broken, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert lines(found) == [[b"HTTP/1.1 200 OK", b"content-length: 5", b"", b""]]
    ask = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\nhi"
    found = await pieces_of(continued, ask)
    assert [piece[0] for piece in lines(found)] == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK"]
    assert found[1].endswith(b"\r\n\r\nhi")


async def test_a_head_without_an_end_is_not_collected_for_ever() -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("the head has not ended")

    head = b"GET / HTTP/1.1\r\nhost: x\r\nx-long: "
    found = await pieces_of(never, head, *[b"a" * (1 << 18)] * 5)
    assert lines(found)[0][0] == b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET"])
async def test_a_head_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.0)
    protocol, state = protocol_of(answer)
    wire = Wire()
    protocol.connection_made(wire)
    if said:
        protocol.data_received(said)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    await wire.ended.wait()
    protocol.connection_lost(None)
    assert len(wire.pieces) == said.count(b"\r\n\r\n")


async def test_whoever_has_said_what_it_wants_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.0)
    protocol, state = protocol_of(answer)
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"POST /?slow HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nh")
    for _ in range(10):
        await asyncio.sleep(0)
    assert not wire.closed
    protocol.data_received(b"i")
    while state.tasks:
        await asyncio.gather(*state.tasks)
    protocol.connection_lost(None)
    assert wire.pieces[-1].endswith(b"slow")


async def test_a_broken_connection_is_forgotten_at_once() -> None:
    """It holds what TLS needed for the largest answer: nobody waits until it would have been idle for too long."""
    protocol, state = protocol_of(answer)
    protocol.connection_made(Wire())
    protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    while state.tasks:
        await asyncio.gather(*state.tasks)
    protocol.connection_lost(ConnectionResetError())
    seen = weakref.ref(protocol)
    del protocol
    gc.collect()
    assert seen() is None
