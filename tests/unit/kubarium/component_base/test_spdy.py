from __future__ import annotations

import struct
import zlib

from kubarium.component_base import spdy


class Client:
    """Enough of the other side to talk to ours."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.streams: list[spdy.Stream] = []
        self.connection = spdy.Connection(self.answers.append, self.streams.append)
        self._deflate = zlib.compressobj(zdict=spdy.DICTIONARY)

    def open(self, id: int, flags: int = 0, **headers: str) -> bytes:
        block = struct.pack(">L", len(headers))
        for name, value in headers.items():
            block += (
                struct.pack(">L", len(name)) + name.encode() + struct.pack(">L", len(value)) + value.encode()
            )
        packed = self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        body = struct.pack(">LLH", id, 0, 0) + packed
        return struct.pack(">LL", 0x80030001, flags << 24 | len(body)) + body


def data(id: int, content: bytes, flags: int = 0) -> bytes:
    return struct.pack(">LL", id, flags << 24 | len(content)) + content


def test_the_dictionary_is_the_protocols() -> None:
    assert (len(spdy.DICTIONARY), zlib.adler32(spdy.DICTIONARY)) == (1423, 0xE3C6A7C2)


def test_streams_are_told_apart_however_the_bytes_are_cut() -> None:
    client = Client()
    sent = client.open(1, Streamtype="error") + client.open(3, Streamtype="stdin")
    sent += data(3, b"hello") + data(3, b"", flags=1)
    for byte in sent:
        client.connection.feed(bytes((byte,)))
    error, stdin = client.streams
    assert (error.headers["streamtype"], stdin.headers["streamtype"]) == ("error", "stdin")
    assert [stdin.received.get_nowait(), stdin.received.get_nowait()] == [b"hello", None]
    assert error.received.empty()
    assert [answer[:4] for answer in client.answers] == [b"\x80\x03\x00\x02"] * 2  # two SYN_REPLYs


def test_what_is_written_is_cut_and_ended_once() -> None:
    client = Client()
    client.connection.feed(client.open(5, Streamtype="stdout"))
    client.answers.clear()
    (stream,) = client.streams
    stream.write(b"x" * (spdy.CHUNK + 1))
    stream.close()
    stream.close()
    stream.write(b"too late")
    assert [len(answer) - 8 for answer in client.answers] == [spdy.CHUNK, 1, 0]
    assert client.answers[-1][4] == 1


def test_two_sides_of_ours_understand_each_other() -> None:
    opened: list[spdy.Stream] = []
    to_server: list[bytes] = []
    to_client: list[bytes] = []
    server = spdy.Connection(to_client.append, opened.append)
    client = spdy.Connection(to_server.append)
    asked = [client.open({"streamType": kind}) for kind in ("error", "stdin")]
    asked[1].write(b"hello")
    asked[1].close()
    server.feed(b"".join(to_server))
    assert [(stream.id, stream.headers) for stream in opened] == [
        (1, {"streamtype": "error"}),
        (3, {"streamtype": "stdin"}),
    ]
    assert [opened[1].received.get_nowait() for _ in range(2)] == [b"hello", None]
    opened[0].write(b"bye")
    client.feed(b"".join(to_client))
    assert asked[0].received.get_nowait() == b"bye"


def test_a_ping_is_answered_and_a_reset_ends_a_stream() -> None:
    client = Client()
    ping = struct.pack(">LLL", 0x80030006, 4, 7)
    client.connection.feed(ping)
    assert client.answers == [ping]
    client.connection.feed(
        client.open(1, flags=1) + client.open(3) + struct.pack(">LLLL", 0x80030003, 8, 3, 5)
    )
    assert [stream.received.get_nowait() for stream in client.streams] == [None, None]
