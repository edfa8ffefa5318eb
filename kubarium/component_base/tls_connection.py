"""TLS between a listening socket and the protocol that speaks HTTP.

    the socket ─▶ TLSConnection.data_received ─▶ OpenSSL ─▶ the protocol's data_received
    the protocol ─▶ TLSConnection.write ─▶ OpenSSL ─▶ the socket, at once if it takes all; else through the loop

The loop has such a layer, too. It keeps for every connection what its largest answer needed, waits half a minute for
a client's good-bye, and cannot answer who speaks plain HTTP. This one keeps nothing: whatever is written is encrypted
in parts and sent before `write` returns, by way of one buffer for all connections of a server.

Source: net/http/server.go for how long a handshake and a good-bye may take
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Iterable
from typing import Any, cast

from kubarium.component_base import logging

log = logging.get(__name__)

HANDSHAKE_SECONDS = 32.0
"""How long a client may take to agree on TLS: as long as for the head of its first request."""
GOODBYE_SECONDS = 0.5
"""How long a closed connection waits for the client's end of it, lest what was said last be lost on the way."""
FLUSH_SECONDS = 30.0
"""How long a client may fetch nothing of what it was told before the connection was closed."""
HIGH_WATER = 512 * 1024  # bytes that may wait for a slow client before the protocol is asked to pause
_PLAIN = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")  # how somebody begins who does not know of TLS
_TOLD = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_RECORD = 256 * 1024  # bytes to decrypt in one go; a record of TLS has at most 16 KiB
_PART = 256 * 1024  # bytes to encrypt in one go: OpenSSL's buffer stays as large as it was once


class TLSConnection(asyncio.Protocol, asyncio.Transport):
    """A connection of a server: the protocol of a plain transport below, the transport of a protocol above.

    `sealed` is where OpenSSL leaves what is to be sent. Connections share it, since it keeps the size that it had
    once: each finds it empty, and empties it before anything else can happen.
    """

    __slots__ = (
        "_agreed", "_clear", "_closing", "_descriptor", "_incoming", "_loop", "_lower", "_open", "_paused",
        "_protocol", "_sealed", "_session", "_timer",
    )  # fmt: skip

    def __init__(
        self, context: ssl.SSLContext, protocol: asyncio.BaseProtocol, sealed: ssl.MemoryBIO
    ) -> None:
        super().__init__()
        self._protocol: asyncio.BaseProtocol = protocol
        self._incoming, self._sealed = ssl.MemoryBIO(), sealed
        self._session = context.wrap_bio(self._incoming, self._sealed, server_side=True)
        self._agreed = False  # there was a handshake, and the protocol knows of us
        self._open = False  # and neither side has said good-bye
        self._closing = False
        self._clear = True  # nothing waits below for the socket to take it
        self._paused = False  # and so much waits that the protocol was told to pause
        self._timer: asyncio.TimerHandle | None = None
        self._descriptor = -1

    # Below: what the plain transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._lower = cast(asyncio.Transport, transport)
        self._lower.set_write_buffer_limits(HIGH_WATER)
        self._descriptor = transport.get_extra_info("socket").fileno()
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(HANDSHAKE_SECONDS, self._refuse, "i/o timeout")

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._agreed and data.startswith(_PLAIN):
            self._lower.write(_TOLD)
            self._refuse("client sent an HTTP request to an HTTPS server")
            return
        self._incoming.write(data)
        if not self._agreed:
            self._shake_hands()
        if self._open:
            self._read()

    def eof_received(self) -> None:
        """The client has gone without the good-bye of TLS: the plain transport closes itself."""
        if not self._agreed and not self._closing:
            self._refuse("EOF")
        elif self._open:
            self._tell_end()
            self._open, self._closing = False, True

    def connection_lost(self, exc: Exception | None) -> None:
        self._open, self._closing = False, True
        self._cancel_timer()
        if self._agreed:
            self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._paused = True
        if self._agreed:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._paused = False
        if self._agreed:
            self._protocol.resume_writing()

    def _shake_hands(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # says why
            self._refuse(str(error))
            return
        self._flush()
        self._cancel_timer()
        self._agreed = self._open = True
        self._protocol.connection_made(self)

    def _refuse(self, reason: str) -> None:
        self._cancel_timer()
        self._closing = True
        log.info("http: TLS handshake error from %s: %s", _address(self._lower), reason)
        self._lower.close()

    def _read(self) -> None:
        pieces: list[bytes] = []
        failure: ssl.SSLError | None = None
        ended = False
        try:
            while not ended and (self._incoming.pending or self._session.pending()):
                piece = self._session.read(_RECORD)
                pieces.append(piece)
                ended = not piece
        except ssl.SSLWantReadError:
            pass  # the rest of a record has not come yet
        except ssl.SSLError as error:
            failure = error
        if self._sealed.pending:
            self._flush()  # an answer of TLS itself, to new keys say
        if text := b"".join(pieces):
            cast(asyncio.Protocol, self._protocol).data_received(text)
        if failure is not None:
            log.debug("TLS with %s: %s", _address(self._lower), failure)
            self.abort()
        elif ended and self._open:
            self._tell_end()
            self.close()

    def _tell_end(self) -> None:
        cast(asyncio.Protocol, self._protocol).eof_received()

    # Above: what the protocol asks for.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send; what the socket does not take now goes out when it does."""
        if not self._open or not data:
            return
        whole = data if len(data) <= _PART else memoryview(data)
        try:
            for begin in range(0, len(data), _PART):
                self._session.write(whole[begin : begin + _PART])
                self._flush()
        except ssl.SSLError as error:
            log.debug("TLS with %s: %s", _address(self._lower), error)
            self._sealed.read()
            self.abort()

    def offer(self, data: bytes) -> bool:
        """Write, unless the client is so slow that the protocol should wait first: False then, and nothing is sent."""
        if self._paused:
            return False
        self.write(data)
        return True

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt and send some pieces as one."""
        self.write(b"".join(list_of_data))

    def _flush(self) -> None:
        sealed = self._sealed.read()
        if not self._clear and self._lower.get_write_buffer_size():
            self._lower.write(sealed)
            return
        try:
            sent = os.write(self._descriptor, sealed)
        except OSError:  # it takes no more now; or it is broken, which the plain transport then finds out
            sent = 0
        self._clear = sent == len(sealed)
        if not self._clear:
            self._lower.write(memoryview(sealed)[sent:])

    def close(self) -> None:
        """Say good-bye, and let the client have what was said before."""
        if self._closing:
            return
        self._open, self._closing = False, True
        if not self._agreed:
            self._lower.abort()
            return
        with contextlib.suppress(ssl.SSLError):  # the client's good-bye has not come yet: nobody reads it
            self._session.unwrap()
        self._flush()
        if not self._lower.is_closing():
            self._lower.resume_reading()  # to see the client go
            with contextlib.suppress(OSError):  # it has gone already
                self._lower.write_eof()
        self._leave_later(self._lower.get_write_buffer_size(), self._loop.time() + FLUSH_SECONDS)

    def _leave_later(self, waiting: int, latest: float) -> None:
        self._timer = self._loop.call_later(GOODBYE_SECONDS, self._leave, waiting, latest)

    def _leave(self, waiting: int, latest: float) -> None:
        """Go, unless the client is still fetching some of the bytes that waited when it was last looked at."""
        left, now = self._lower.get_write_buffer_size(), self._loop.time()
        if left < waiting:
            latest = now + FLUSH_SECONDS
        if left and now < latest:
            self._leave_later(left, latest)
        else:
            self._lower.abort()

    def abort(self) -> None:
        """End it without a word."""
        self._open, self._closing = False, True
        self._cancel_timer()
        self._lower.abort()

    def is_closing(self) -> bool:
        """Has it ended, or is it about to?"""
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`ssl_object` and `sslcontext` are ours, everything else is the socket's."""
        if name == "ssl_object":
            return self._session
        if name == "sslcontext":
            return self._session.context
        return self._lower.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Let another protocol go on: a WebSocket, or a tunnel."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The protocol above."""
        return self._protocol

    def is_reading(self) -> bool:
        """Is anything handed up?"""
        return self._lower.is_reading()

    def pause_reading(self) -> None:
        """Hand nothing up but what has come already."""
        if not self._closing:
            self._lower.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if not self._closing:
            self._lower.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """From how many waiting bytes on the protocol is to pause."""
        self._lower.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Bytes that the socket has not taken yet."""
        return self._lower.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """TLS ends both ways at once."""
        return False

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _address(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else "unknown"
