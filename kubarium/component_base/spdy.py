"""SPDY/3.1, as far as Kubernetes uses it: many streams on one connection.

Runtimes and older clients carry commands and ports by it, and newer clients fall back to it. Bytes come in by
`Connection.feed`, bytes go out by the function it was given; nothing here knows sockets. A server hears of the streams
that its client opens, a client opens them. Flow control is left out, as all of them leave it out.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
VERSION = 3
HEAD = struct.Struct(">LL")  # control: bit, version, type | flags, length; data: stream | flags, length
CHUNK = 32 * 1024

# The dictionary that both sides start their compression with, as the protocol's third draft prints it: words with
# their lengths, then a text.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age "
    "allow authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
    "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
    "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _counted(word: str) -> bytes:
    return struct.pack(">L", len(word)) + word.encode()


DICTIONARY = b"".join(_counted(word.replace("_", " ")) for word in _WORDS.split()) + _TEXT.encode()


@dataclass(eq=False, slots=True)
class Stream:
    """One stream: what the other side sends waits in `received`; None is its end."""

    id: int
    headers: Mapping[str, str]
    _connection: Connection
    received: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _closed: bool = False

    def write(self, data: bytes) -> None:
        """Send something to the other side."""
        for start in range(0, 0 if self._closed else len(data), CHUNK):
            self._connection.send_data(self.id, data[start : start + CHUNK])

    def close(self) -> None:
        """Tell the other side that nothing more comes."""
        if not self._closed:
            self._closed = True
            self._connection.send_data(self.id, b"", FIN)


class Connection:
    """All streams between two sides; `opened` is told of those that the other side opens."""

    def __init__(
        self, send: Callable[[bytes], None], opened: Callable[[Stream], None] = lambda stream: None
    ) -> None:
        self._send = send
        self._opened = opened
        self._rest = b""
        self._next = 1  # a client's streams have odd numbers
        self._streams: dict[int, Stream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def open(self, headers: Mapping[str, str]) -> Stream:
        """A new stream, as a client opens them."""
        stream = Stream(self._next, headers, self)
        self._next += 2
        self._streams[stream.id] = stream
        self._send_control(SYN_STREAM, struct.pack(">LLH", stream.id, 0, 0) + self._compressed(headers))
        return stream

    def feed(self, data: bytes) -> None:
        """Take what has come from the other side."""
        self._rest += data
        while len(self._rest) >= HEAD.size:
            first, second = HEAD.unpack_from(self._rest)
            length = second & 0xFFFFFF
            if len(self._rest) < HEAD.size + length:
                return
            body = self._rest[HEAD.size : HEAD.size + length]
            self._rest = self._rest[HEAD.size + length :]
            if first >> 31:
                self._control(first & 0xFFFF, second >> 24, body)
            elif first in self._streams:
                self._data(self._streams[first], second >> 24, body)

    def end(self) -> None:
        """The other side is gone."""
        for stream in self._streams.values():
            stream.received.put_nowait(None)

    def send_data(self, stream: int, data: bytes, flags: int = 0) -> None:
        """One data frame."""
        self._send(HEAD.pack(stream, flags << 24 | len(data)) + data)

    def _control(self, kind: int, flags: int, body: bytes) -> None:
        if kind == SYN_STREAM:
            self._open(flags, body)
        elif kind == SYN_REPLY:
            self._inflate.decompress(body[4:])  # nothing is in it, but what follows builds on it
        elif kind == PING:
            self._send_control(PING, body)
        elif kind == RST_STREAM:
            stream = self._streams.pop(int.from_bytes(body[:4], "big"), None)
            if stream is not None:
                stream.received.put_nowait(None)
        elif kind == GOAWAY:
            self.end()

    def _open(self, flags: int, body: bytes) -> None:
        id = int.from_bytes(body[:4], "big") & 0x7FFFFFFF
        stream = Stream(id, dict(_pairs(self._inflate.decompress(body[10:]))), self)
        self._streams[id] = stream
        self._send_control(SYN_REPLY, body[:4] + self._compressed({}))
        if flags & FIN:
            stream.received.put_nowait(None)
        self._opened(stream)

    @staticmethod
    def _data(stream: Stream, flags: int, body: bytes) -> None:
        if body:
            stream.received.put_nowait(body)
        if flags & FIN:
            stream.received.put_nowait(None)

    def _compressed(self, headers: Mapping[str, str]) -> bytes:
        """A header block, with names in lower case."""
        words = (word for name, value in headers.items() for word in (name.lower(), value))
        block = struct.pack(">L", len(headers)) + b"".join(map(_counted, words))
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def _send_control(self, kind: int, body: bytes) -> None:
        self._send(HEAD.pack(1 << 31 | VERSION << 16 | kind, len(body)) + body)


def _pairs(block: bytes) -> Iterable[tuple[str, str]]:
    """Names, in lower case, and values of a header block."""
    position = 4
    for _ in range(int.from_bytes(block[:4], "big")):
        found = []
        for _ in range(2):
            length = int.from_bytes(block[position : position + 4], "big")
            found.append(block[position + 4 : position + 4 + length].decode())
            position += 4 + length
        yield found[0].lower(), found[1]
