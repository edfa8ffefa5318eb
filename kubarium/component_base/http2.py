"""One HTTP/2 connection as a client of gRPC needs it, and no more: many requests at once, answers in parts.

    begin() ─▶ HEADERS, DATA …  as far as the server's windows allow; what does not fit waits its turn
    DATA, HEADERS ─▶ Exchange   its parts as they come, its fields, and how it ended

The server is told to keep no table of header fields, so that a block of them means the same each time and is decoded
once: nearly all are those of an answer that went well. Nothing is ever sent twice; a request whose connection breaks
has an unknown outcome. Source: RFC 9113 (frames, flow control, GOAWAY), RFC 7541 (header fields).
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Sequence

DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITY = 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE, _ENABLE_PUSH, _MAX_CONCURRENT, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 3, 4, 5
_CANCEL = 8
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_FRAME = struct.Struct(">BHBBL")  # length in two parts, kind, flags, number of the stream
_SETTING = struct.Struct(">HL")
_NUMBER = struct.Struct(">L")
_LARGEST = 2**31 - 1  # a window, and the number of a stream
_LAST_BEGUN = _LARGEST - 2**20  # streams cannot be numbered anew: in time, another connection is made
_LARGEST_FRAME = 16_384  # until somebody says otherwise, and we do not
_DEFAULT_WINDOW = 65_535
_REPLENISH = 2**24  # bytes received after which the server is told to go on
SILENCE = 15.0  # seconds after which a sign of life is asked for, and after which it must have come
_MOST_KNOWN = 256  # blocks of header fields that are remembered

Fields = dict[str, str]

_BEGINNING = {":status": "200", "content-type": "application/grpc"}
_END = {"grpc-status": "0", "grpc-message": ""}
_known: dict[bytes, Fields] = {
    bytes.fromhex("880f108b1d75d0620d263d4c4d6564"): _BEGINNING,
    bytes.fromhex("20880f108b1d75d0620d263d4c4d6564"): _BEGINNING,  # the first one, which gives up the table
    bytes.fromhex("00889acac8b21234da8f013000899acac8b5254207317f00"): _END,
}
"""What etcd and containerd answer when all is well: reading anything else takes a library that loads slowly."""


class ProtocolError(Exception):
    """The other side does not speak HTTP/2 as we understand it."""


class Exchange:
    """A request and what has come of it so far."""

    __slots__ = (
        "_waiting",
        "ended",
        "failure",
        "fields",
        "in_parts",
        "late",
        "number",
        "parts",
        "received",
        "stays_open",
        "unsent",
        "window",
    )

    def __init__(self, number: int, body: bytes, in_parts: bool, stays_open: bool) -> None:
        self.number = number  # of its stream; 0: not begun yet
        self.in_parts = in_parts  # the answer is of interest before its end
        self.stays_open = stays_open  # the request does not end before the answer does
        self.unsent = body
        self.window = 0  # bytes that the server still takes
        self.received = 0  # bytes that the server has not been told of
        self.parts: list[bytes] = []
        self.fields: Fields = {}  # of the beginning and of the end together
        self.ended = False
        self.failure = ""  # why there will be no proper end
        self.late = False  # it was given up
        self._waiting: asyncio.Future[None] | None = None

    async def end(self) -> None:
        """Return when nothing more will come."""
        while not self.ended:
            await self._progress()

    async def some(self) -> Sequence[bytes]:
        """The parts that have come since; none: this is the end."""
        while not self.parts and not self.ended:
            await self._progress()
        found, self.parts = self.parts, []
        return found

    async def _progress(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def wake(self) -> None:
        """There is something new."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Connection(asyncio.Protocol):
    """Made by `create_connection`; when it is no longer `usable`, make another one."""

    def __init__(self, may_vanish: bool = True) -> None:
        self._may_vanish = may_vanish  # without our being told: a program of this machine cannot
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._exchanges: dict[int, Exchange] = {}
        self._blocked: deque[tuple[Exchange, bytes]] = deque()  # with what they begin, if they have not yet
        self._next = 1
        self._leaving = False  # no new requests; it is closed when the last exchange has ended
        self._window = self._stream_window = _DEFAULT_WINDOW  # what the server takes of all, of a new one
        self._largest = _LARGEST_FRAME  # that the server takes
        self._most = _LARGEST  # exchanges at a time that the server takes
        self._received = 0
        self._rest = b""  # a frame that has not come entirely
        self._block: tuple[int, int, bytes] | None = None  # header fields that are to be continued
        self._out: list[bytes] = []
        self._quiet = 0  # how often `_listen` has heard nothing
        self._listening: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """May requests be begun?"""
        return self._transport is not None and not self._leaving and self._next < _LAST_BEGUN

    # -------------------------------------------------------------------------------------------------- sending

    def begin(
        self, fields: bytes, body: bytes, *, in_parts: bool = False, stays_open: bool = False
    ) -> Exchange:
        """Send a request: an encoded block of header fields, and a body that is not empty."""
        exchange = Exchange(0, body, in_parts, stays_open)
        if self._transport is None:
            exchange.ended, exchange.failure = True, "connection lost"
            return exchange
        self._blocked.append((exchange, fields))
        self._send_blocked()
        return exchange

    def release(self, exchange: Exchange) -> None:
        """Nobody waits for the exchange any more: cancel it, if it has not ended."""
        if not exchange.ended:
            self._finish(exchange, "cancelled")

    def give_up(self, exchange: Exchange) -> None:
        """The exchange takes too long; the connection may be dead without our knowing: others go elsewhere."""
        if not exchange.ended:
            exchange.late = True
            self._finish(exchange, "too late")
            self.leave()

    def leave(self) -> None:
        """Take no more requests: what has been taken may end."""
        self._leaving = True
        if not self._exchanges and not self._blocked:
            self.close()

    def close(self) -> None:
        """Hang up."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def _send_blocked(self) -> None:
        """Send what the windows allow, first come, first served; who is held up by its own window lets others pass."""
        still: list[tuple[Exchange, bytes]] = []
        while self._blocked:
            exchange, fields = self._blocked.popleft()
            if not exchange.number:
                if len(self._exchanges) >= self._most:
                    still.append((exchange, fields))
                    continue
                exchange.number, self._next = self._next, self._next + 2
                exchange.window = self._stream_window
                self._exchanges[exchange.number] = exchange
                self._put(HEADERS, END_HEADERS, exchange.number, fields)
            self._send_body(exchange)
            if exchange.unsent:
                still.append((exchange, fields))
        self._blocked.extend(still)

    def _send_body(self, exchange: Exchange) -> None:
        body, at = exchange.unsent, 0
        while at < len(body):
            size = min(len(body) - at, self._window, exchange.window, self._largest)
            if size <= 0:
                break
            part = body if size == len(body) else body[at : at + size]
            at += size
            self._window -= size
            exchange.window -= size
            ends = at == len(body) and not exchange.stays_open
            self._put(DATA, END_STREAM if ends else 0, exchange.number, part)
        exchange.unsent = body[at:] if at < len(body) else b""

    def _put(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Send a frame, together with all others of this turn of the loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        size = len(payload)
        self._out.append(_FRAME.pack(size >> 16, size & 0xFFFF, kind, flags, number))
        self._out.append(payload)

    def _flush(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # ------------------------------------------------------------------------------------------------ receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.write(_PREFACE)
        settings = ((_HEADER_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, _LARGEST))
        self._put(SETTINGS, 0, 0, b"".join(_SETTING.pack(*setting) for setting in settings))
        self._put(WINDOW_UPDATE, 0, 0, _NUMBER.pack(_LARGEST - _DEFAULT_WINDOW))
        if self._may_vanish:
            self._listening = self._loop.call_later(SILENCE, self._listen)

    def connection_lost(self, error: Exception | None) -> None:
        self._end_all(f"connection lost: {error}" if error else "connection lost")

    def data_received(self, data: bytes) -> None:
        self._quiet = 0
        buffer = self._rest + data if self._rest else data
        at, size = 0, len(buffer)
        try:
            while size - at >= 9:
                high, low, kind, flags, number = _FRAME.unpack_from(buffer, at)
                length = high << 16 | low
                if length > _LARGEST_FRAME:
                    raise ProtocolError(f"a frame of {length} bytes")
                if size - at - 9 < length:
                    break
                at += 9
                self._take(kind, flags, number & _LARGEST, buffer[at : at + length])
                at += length
        except (ProtocolError, struct.error, IndexError) as error:
            self._end_all(f"no HTTP/2: {error}")
            return
        self._rest = buffer[at:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and (kind != CONTINUATION or number != self._block[0]):
            raise ProtocolError("header fields are not continued")
        if kind == DATA:
            self._take_data(flags, number, payload)
        elif kind == HEADERS:
            payload = _unpadded(flags, payload)
            self._take_fields(flags, number, payload[5:] if flags & PRIORITY else payload)
        elif kind == CONTINUATION:
            if self._block is None:
                raise ProtocolError("nothing is to be continued")
            _, begun, block = self._block
            self._block = None
            self._take_fields(begun | flags & END_HEADERS, number, block + payload)
        elif kind == WINDOW_UPDATE:
            self._widen(number, _NUMBER.unpack(payload)[0] & _LARGEST)
        elif kind == PING and not flags & ACK:
            self._put(PING, ACK, 0, payload)
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == RST_STREAM:
            (code,) = _NUMBER.unpack(payload)
            self._fail(number, f"stream reset by the server: code {code}")
        elif kind == GOAWAY:
            last, code = struct.unpack_from(">LL", payload)
            why = payload[8:].decode(errors="replace")
            self._take_goaway(last & _LARGEST, f"the server went away: code {code} {why}")
        elif kind == PUSH_PROMISE:
            raise ProtocolError("a push")

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._received += size
        if self._received >= _REPLENISH:
            self._put(WINDOW_UPDATE, 0, 0, _NUMBER.pack(self._received))
            self._received = 0
        exchange = self._exchanges.get(number)
        if exchange is None:
            return  # we have cancelled it
        exchange.received += size
        if exchange.received >= _REPLENISH:
            self._put(WINDOW_UPDATE, 0, number, _NUMBER.pack(exchange.received))
            exchange.received = 0
        if part := _unpadded(flags, payload):
            exchange.parts.append(part)
        if flags & END_STREAM:
            self._finish(exchange)
        elif exchange.in_parts:
            exchange.wake()

    def _take_fields(self, flags: int, number: int, block: bytes) -> None:
        if not flags & END_HEADERS:
            self._block = number, flags, block
            return
        fields = _known.get(block)
        if fields is None:
            fields = _read_fields(block)
        exchange = self._exchanges.get(number)
        if exchange is None:
            return
        exchange.fields = exchange.fields | fields
        if flags & END_STREAM:
            self._finish(exchange)

    def _take_settings(self, payload: bytes) -> None:
        for name, value in _SETTING.iter_unpack(payload):
            if name == _INITIAL_WINDOW:
                for exchange in self._exchanges.values():
                    exchange.window += value - self._stream_window
                self._stream_window = value
            elif name == _MAX_FRAME:
                self._largest = value
            elif name == _MAX_CONCURRENT:
                self._most = value
        self._put(SETTINGS, ACK, 0, b"")
        self._send_blocked()

    def _take_goaway(self, last: int, reason: str) -> None:
        self._leaving = True
        for exchange, _ in [*self._blocked]:
            if not exchange.number:
                self._finish(exchange, reason)
        for number in [number for number in self._exchanges if number > last]:
            self._fail(number, reason)
        self.leave()

    def _widen(self, number: int, size: int) -> None:
        exchange = self._exchanges.get(number)
        if number == 0:
            self._window += size
        elif exchange is not None:
            exchange.window += size
        if self._blocked:
            self._send_blocked()

    # --------------------------------------------------------------------------------------------------- ending

    def _fail(self, number: int, reason: str) -> None:
        """The server has ended an exchange."""
        exchange = self._exchanges.pop(number, None)
        if exchange is not None:
            self._finish(exchange, reason)

    def _finish(self, exchange: Exchange, failure: str = "") -> None:
        """The exchange is over. Where the server may still think otherwise, tell it."""
        exchange.ended, exchange.failure = True, failure
        known = self._exchanges.pop(exchange.number, None) is not None
        if known and (failure or exchange.unsent or exchange.stays_open):
            self._put(RST_STREAM, 0, exchange.number, _NUMBER.pack(_CANCEL))
        if self._blocked:
            self._blocked = deque(waiting for waiting in self._blocked if waiting[0] is not exchange)
            self._send_blocked()
        exchange.wake()
        if self._leaving:
            self.leave()

    def _end_all(self, reason: str) -> None:
        """The connection is of no use any more."""
        transport, self._transport = self._transport, None
        if self._listening is not None:
            self._listening.cancel()
        waiting = [exchange for exchange, _ in self._blocked if not exchange.number]
        self._blocked.clear()
        for exchange in [*self._exchanges.values(), *waiting]:
            exchange.ended, exchange.failure = True, reason
            exchange.wake()
        self._exchanges.clear()
        if transport is not None:
            transport.abort()

    def _listen(self) -> None:
        """A connection that brings nothing though something is awaited may be dead without our knowing."""
        self._listening = self._loop.call_later(SILENCE, self._listen)
        if not self._exchanges:
            self._quiet = 0
            return
        self._quiet += 1
        if self._quiet == 1:
            self._put(PING, 0, 0, bytes(8))
        else:
            self._end_all("the server gives no sign of life")


def literal(name: bytes, value: bytes) -> bytes:
    """A header field to be remembered by nobody. Source: RFC 7541, section 6.2.2."""
    return b"\0" + _text(name) + _text(value)


def named(name: int, value: bytes) -> bytes:
    """The same, with a name from the static table (RFC 7541, appendix A) by its number, which is below 15."""
    return bytes((name,)) + _text(value)


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 127:
        return bytes((size,)) + text
    found = bytearray((127,))
    size -= 127
    while size >= 128:
        found.append(size & 127 | 128)
        size >>= 7
    return bytes((*found, size)) + text


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & PADDED:
        return payload
    size = payload[0]
    if size >= len(payload):
        raise ProtocolError("nothing but padding")
    return payload[1 : len(payload) - size]


def _read_fields(block: bytes) -> Fields:
    import hpack  # here, because it is rarely needed and loads slowly

    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = decoder.header_table_size = 0
    try:
        found = {str(name): str(value) for name, value in decoder.decode(block)}
    except (hpack.HPACKError, UnicodeDecodeError) as error:
        raise ProtocolError(f"header fields that cannot be read: {error}") from error
    if len(_known) < _MOST_KNOWN:
        _known[block] = found
    return found
