"""One connection, spoken to frame by frame."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import hpack
import pytest

from kubarium.component_base import http2
from kubarium.component_base.http2 import Connection, Exchange, literal, named

GREETING = 2  # frames: our settings, our window
END, HEADERS_END = http2.END_STREAM, http2.END_HEADERS


class Wire:
    """The transport of a connection, and the server at its other end."""

    def __init__(self) -> None:
        self.sent = b""
        self.gone = False
        self.connection = Connection()
        self.connection.connection_made(self)  # type: ignore[arg-type]

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.gone = True

    def begin(self, body: bytes = b"body", **options: bool) -> Exchange:
        return self.connection.begin(b"fields", body, **options)

    def say(self, kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> None:
        self.connection.data_received(frame(kind, flags, number, payload))

    def answer(self, number: int, *parts: bytes) -> None:
        self.say(http2.HEADERS, HEADERS_END, number, fields({":status": "200"}))
        for part in parts:
            self.say(http2.DATA, 0, number, part)
        self.say(http2.HEADERS, HEADERS_END | END, number, fields({"grpc-status": "0"}))

    async def heard(self) -> list[tuple[int, int, int, bytes]]:
        """What the server has got since it listened last, without the greeting."""
        await asyncio.sleep(0)  # frames go out at the end of a turn of the loop
        await asyncio.sleep(0)
        data, self.sent = self.sent.removeprefix(http2._PREFACE), b""
        found = []
        while data:
            high, low, kind, flags, number = struct.unpack_from(">BHBBL", data)
            size = high << 16 | low
            found.append((kind, flags, number, data[9 : 9 + size]))
            data = data[9 + size :]
        if found and found[0][:2] == (http2.SETTINGS, 0):
            found = found[GREETING:]
        return found


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    return struct.pack(">BHBBL", len(payload) >> 16, len(payload) & 0xFFFF, kind, flags, number) + payload


def fields(content: dict[str, str]) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode(content.items())


def settings(**values: int) -> bytes:
    names = {"streams": 3, "window": 4, "frame": 5}
    return b"".join(struct.pack(">HL", names[name], value) for name, value in values.items())


def number(value: int) -> bytes:
    return struct.pack(">L", value)


@pytest.fixture
async def wire() -> Any:
    made = Wire()
    yield made
    made.connection.connection_lost(None)


async def test_requests_share_a_connection(wire: Wire) -> None:
    one, two = wire.begin(b"1"), wire.begin(b"2")
    assert await wire.heard() == [
        (http2.HEADERS, HEADERS_END, 1, b"fields"), (http2.DATA, END, 1, b"1"),
        (http2.HEADERS, HEADERS_END, 3, b"fields"), (http2.DATA, END, 3, b"2"),
    ]  # fmt: skip
    wire.answer(3, b"b", b"c")
    wire.answer(1, b"a")
    await two.end()
    await one.end()
    assert (one.parts, two.parts) == ([b"a"], [b"b", b"c"])
    assert two.fields == {":status": "200", "grpc-status": "0"} and not two.failure
    assert await wire.heard() == []


async def test_frames_may_come_in_any_pieces(wire: Wire) -> None:
    exchange = wire.begin()
    block = fields({":status": "200", "x": "y" * 50})
    data = frame(http2.HEADERS, http2.PADDED | http2.PRIORITY, 1, b"\3" + bytes(5) + block[:7] + b"pad")
    data += frame(http2.CONTINUATION, 0, 1, block[7:9]) + frame(http2.CONTINUATION, HEADERS_END, 1, block[9:])
    data += frame(http2.DATA, http2.PADDED, 1, b"\2part..") + frame(99, 0, 0, b"unknown")
    data += frame(http2.DATA, END, 1, b"end")
    for at in range(len(data)):
        wire.connection.data_received(data[at : at + 1])
    assert exchange.ended and exchange.parts == [b"part", b"end"]
    assert exchange.fields == {":status": "200", "x": "y" * 50}


async def test_the_servers_windows_are_kept(wire: Wire) -> None:
    wire.say(http2.SETTINGS, 0, 0, settings(window=10, frame=16_384))
    assert await wire.heard() == [(http2.SETTINGS, http2.ACK, 0, b"")]
    large = wire.begin(b"0123456789abc")
    small = wire.begin(b"small")  # is not held up by the large one
    sent = [payload for kind, _, _, payload in await wire.heard() if kind == http2.DATA]
    assert sent == [b"0123456789", b"small"]
    wire.say(http2.WINDOW_UPDATE, 0, 1, number(2))
    assert await wire.heard() == [(http2.DATA, 0, 1, b"ab")]
    wire.say(http2.SETTINGS, 0, 0, settings(window=11))  # one more for those that are under way
    assert (http2.DATA, END, 1, b"c") in await wire.heard()
    assert not large.ended and not small.ended


async def test_the_window_of_the_connection_and_the_size_of_frames_are_kept(wire: Wire) -> None:
    wire.say(http2.SETTINGS, 0, 0, settings(window=1_000_000))
    wire.begin(bytes(100_000))
    wire.begin(b"waits")
    sent = [len(payload) for kind, _, _, payload in await wire.heard() if kind == http2.DATA]
    assert sent == [16_384, 16_384, 16_384, 16_383]  # 65,535 together
    wire.say(http2.WINDOW_UPDATE, 0, 0, number(40_000))
    heard = await wire.heard()
    assert sum(len(payload) for _, _, _, payload in heard) == 100_000 - 65_535 + len(b"waits")
    assert heard[-1] == (http2.DATA, END, 3, b"waits")


async def test_no_more_requests_at_a_time_than_the_server_takes(wire: Wire) -> None:
    wire.say(http2.SETTINGS, 0, 0, settings(streams=1))
    one, two, three = wire.begin(), wire.begin(), wire.begin()
    assert {number for _, _, number, _ in await wire.heard()} == {0, 1}
    wire.connection.release(two)  # somebody lost patience before it was begun
    wire.answer(1)
    await one.end()
    assert [number for _, _, number, _ in await wire.heard()] == [3, 3]
    wire.answer(3)
    await three.end()
    assert not three.failure and two.failure == "cancelled"


async def test_the_server_is_told_to_go_on(wire: Wire) -> None:
    exchange = wire.begin(in_parts=True)
    await wire.heard()
    for _ in range(2**24 // 16_384):
        wire.say(http2.DATA, 0, 1, bytes(16_384))
    assert await wire.heard() == [
        (http2.WINDOW_UPDATE, 0, 0, number(2**24)),
        (http2.WINDOW_UPDATE, 0, 1, number(2**24)),
    ]
    assert len(await exchange.some()) == 1024


@pytest.mark.parametrize("stays_open", [True, False])
async def test_parts_are_handed_out_as_they_come(wire: Wire, stays_open: bool) -> None:
    exchange = wire.begin(in_parts=True, stays_open=stays_open)
    assert (http2.DATA, 0 if stays_open else END, 1, b"body") in await wire.heard()
    wire.say(http2.DATA, 0, 1, b"a")
    assert await exchange.some() == [b"a"]
    waiting = asyncio.ensure_future(exchange.some())
    await asyncio.sleep(0)
    wire.say(http2.DATA, 0, 1, b"b")
    assert await waiting == [b"b"]
    wire.connection.release(exchange)
    assert await wire.heard() == [(http2.RST_STREAM, 0, 1, number(8))]
    wire.say(http2.DATA, 0, 1, b"late")
    assert await exchange.some() == []


async def test_the_server_goes_away(wire: Wire) -> None:
    taken, refused = wire.begin(), wire.begin()
    wire.say(http2.GOAWAY, 0, 0, number(1) + number(0) + b"bye")
    await refused.end()
    assert refused.failure == "the server went away: code 0 bye"
    assert not wire.connection.usable and not wire.gone and not taken.ended
    wire.answer(1)
    await taken.end()
    assert not taken.failure and wire.gone


async def test_the_server_resets_a_request(wire: Wire) -> None:
    exchange, other = wire.begin(), wire.begin()
    wire.say(http2.RST_STREAM, 0, 1, number(7))
    await exchange.end()
    assert exchange.failure == "stream reset by the server: code 7"
    wire.answer(3)
    await other.end()
    assert not other.failure and wire.connection.usable


async def test_an_answer_before_the_request_was_sent_ends_it(wire: Wire) -> None:
    exchange = wire.begin(bytes(70_000))
    wire.answer(1)
    await exchange.end()
    assert not exchange.failure
    assert (await wire.heard())[-1] == (http2.RST_STREAM, 0, 1, number(8))
    wire.say(http2.WINDOW_UPDATE, 0, 0, number(70_000))
    assert await wire.heard() == []


async def test_a_lost_connection_fails_all(wire: Wire) -> None:
    wire.say(http2.SETTINGS, 0, 0, settings(streams=1))
    under_way, waiting = wire.begin(), wire.begin()
    wire.connection.connection_lost(ConnectionResetError("reset"))
    await under_way.end()
    await waiting.end()
    assert under_way.failure == waiting.failure == "connection lost: reset"
    assert not wire.connection.usable and wire.begin().failure == "connection lost"


async def test_signs_of_life(wire: Wire) -> None:
    wire.connection._listen()  # nobody waits: nothing is asked
    exchange = wire.begin()
    await wire.heard()
    wire.connection._listen()
    assert await wire.heard() == [(http2.PING, 0, 0, bytes(8))]
    wire.say(http2.PING, http2.ACK, 0, bytes(8))
    wire.connection._listen()
    assert not exchange.ended and await wire.heard() == [(http2.PING, 0, 0, bytes(8))]
    wire.connection._listen()
    assert exchange.failure == "the server gives no sign of life" and wire.gone
    other = Wire()
    other.say(http2.PING, 0, 0, b"12345678")
    assert await other.heard() == [(http2.PING, http2.ACK, 0, b"12345678")]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        frame(http2.PUSH_PROMISE, HEADERS_END, 1, bytes(4)),
        frame(http2.CONTINUATION, HEADERS_END, 1, b""),
        frame(http2.HEADERS, 0, 1, b"") + frame(http2.DATA, 0, 1, b""),
        frame(http2.HEADERS, HEADERS_END, 1, b"\xbe"),  # a field of a table that we do not keep
        frame(http2.DATA, http2.PADDED, 1, b"\5ab"),
        frame(http2.WINDOW_UPDATE, 0, 0, b"x"),
        frame(http2.GOAWAY, 0, 0, b"x"),
        frame(http2.SETTINGS, 0, 0, b"12345"),
    ],
)
async def test_what_is_no_http2_ends_the_connection(wire: Wire, data: bytes) -> None:
    exchange = wire.begin()
    wire.connection.data_received(data)
    await exchange.end()
    assert exchange.failure.startswith("no HTTP/2: ") and wire.gone


def test_fields_of_requests() -> None:
    path = "/etcdserverpb.KV/Txn" * 20  # longer than one byte can say
    block = b"\x83" + named(4, path.encode()) + literal(b"te", b"trailers")
    assert hpack.Decoder().decode(block) == [(":method", "POST"), (":path", path), ("te", "trailers")]
    assert all(http2._read_fields(block) == known for block, known in [*http2._known.items()])
