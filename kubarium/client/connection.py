"""One connection to a server: HTTP/1.1, one request at a time, kept alive between them.

A client library would do; but a component is little more than its requests, and this costs a third of the CPU time of
aiohttp (110 µs a request over TLS where that takes 350).

    Connection.send ─▶ bytes ─▶ server ─▶ httptools ─▶ NetworkAnswer: status, headers, then its body, whole or in parts
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httptools

from kubarium.component_base import keep_alive

PATIENCE = 2**20  # bytes of a stream that wait for a slow reader; then the server has to wait


class NetworkAnswer:
    """An answer from the network, as far as it has arrived."""

    def __init__(self, connection: Connection, method: str) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.method = method
        self._connection = connection
        self._parts: list[bytes] = []
        self._waiting = 0  # bytes in the parts
        self._complete = False
        self._problem: Exception | None = None
        self._news: asyncio.Future[None] | None = None
        self._whole = False  # the reader wants it in one piece

    async def head(self) -> None:
        """Return when status and headers are here. Raises ConnectionError or TimeoutError."""
        while not self.status:
            if self._problem is not None:
                raise self._problem
            await self._something_new()

    async def read(self) -> bytes:
        """The whole body. Raises ConnectionError or TimeoutError."""
        self._whole = True
        self._connection.listen()
        while not self._complete:
            if self._problem is not None:
                raise self._problem
            await self._something_new()
        body = b"".join(self._parts)
        return body if (inflate := self._decoder()) is None else inflate(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ConnectionError or TimeoutError."""
        inflate = self._decoder()
        while True:
            if self._parts:
                chunk = b"".join(self._parts)
                self._parts.clear()
                self._waiting = 0
                self._connection.listen()
                yield chunk if inflate is None else inflate(chunk)
            elif self._complete:
                return
            elif self._problem is not None:
                raise self._problem
            else:
                await self._something_new()

    def close(self) -> None:
        """Let go of the answer, read or not."""
        # A stream that is left early has nothing more to say. A polite end of TLS would take turns of the loop, which
        # may not have any left.
        if not self._complete:
            self._connection.abort()

    # ---- what the connection tells

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers are here."""
        self.status, self.headers = status, headers
        self._tell()

    def feed(self, data: bytes) -> bool:
        """A part of the body; false when there is enough for now."""
        self._parts.append(data)
        self._waiting += len(data)
        self._tell()
        return self._whole or self._waiting < PATIENCE

    def end(self) -> None:
        """That was all."""
        self._complete = True
        self._tell()

    def fail(self, problem: Exception) -> None:
        """There will be no more of it."""
        if not self._complete and self._problem is None:
            self._problem = problem
            self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _something_new(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        except asyncio.CancelledError:
            self._connection.abort()
            raise

    def _decoder(self) -> Callable[[bytes], bytes] | None:
        coding = self.headers.get("content-encoding", "")
        if coding not in ("gzip", "deflate"):
            return None
        return zlib.decompressobj(wbits=32 + zlib.MAX_WBITS).decompress  # 32: either of the two headers


class Connection(asyncio.Protocol):
    """A kept connection. Its owner hears when it is free again, and when it is lost."""

    def __init__(self, freed: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._freed, self._lost = freed, lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._parser: Any = httptools.HttpResponseParser(self)
        self._answer: NetworkAnswer | None = None
        self._headers: dict[str, str] = {}
        self._deadline: asyncio.TimerHandle | None = None
        self._paused = False
        self.answered = False  # has the answer under way begun?
        self.idle_since = 0.0

    @property
    def usable(self) -> bool:
        """Can it carry another request?"""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, method: str, request: bytes, timeout: float | None) -> NetworkAnswer:
        """Send a request; nothing may be under way. The answer has to be complete in time, unless that is None."""
        assert self._answer is None and self._transport is not None
        answer = self._answer = NetworkAnswer(self, method)
        self.answered = False
        if timeout is not None:
            self._deadline = self._loop.call_later(timeout, self._give_up)
        self._transport.write(request)
        return answer

    def listen(self) -> None:
        """The reader has room again."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End it politely."""
        if self._transport is not None:
            self._transport.close()

    # ---- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # connections have nothing else
        keep_alive.probe(transport.get_extra_info("socket"), idle=30, interval=5, probes=3)

    def data_received(self, data: bytes) -> None:
        self.answered = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._break(ConnectionError("the server wants to speak another protocol"))
        except httptools.HttpParserError as error:
            self._break(ConnectionError(f"not an answer in HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        answer = self._answer
        if answer is not None:
            if answer.status and error is None and self._ends_with_connection(answer):
                self._complete()
            else:
                self._break(ConnectionError(str(error or "the server closed the connection")))
        self._parser = None  # it knows us: no circle for the collector
        self._lost(self)
        if not self.closed.done():
            self.closed.set_result(None)

    # ---- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        """One line of the head; lines of the same name make a list."""
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """The head is here."""
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, {}
        if status < 200 or self._answer is None:  # "100 Continue" and its kind are not the answer
            return
        self._answer.begin(status, headers)
        if self._answer.method == "HEAD":  # the parser would wait for the body that the headers tell of
            self._complete(keep=False)

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._answer is not None and not self._answer.feed(data) and not self._paused:
            self._paused = True
            if self._transport is not None:
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The end of the answer."""
        if self._answer is not None and self._answer.status:
            self._complete(keep=self._parser.should_keep_alive())

    # ----

    def _complete(self, *, keep: bool = True) -> None:
        answer, self._answer = self._answer, None
        self._end_deadline()
        self.listen()
        assert answer is not None
        answer.end()
        if not keep:
            self.close()
        elif self.usable:
            self._freed(self)

    def _break(self, problem: Exception) -> None:
        answer, self._answer = self._answer, None
        self._end_deadline()
        if answer is not None:
            answer.fail(problem)
        self.abort()

    def _give_up(self) -> None:
        self._break(TimeoutError("the server did not answer in time"))

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    @staticmethod
    def _ends_with_connection(answer: NetworkAnswer) -> bool:
        """Without a length and without chunks, the end of the connection is the end of the body (RFC 9112, 6.3)."""
        return "content-length" not in answer.headers and "transfer-encoding" not in answer.headers
