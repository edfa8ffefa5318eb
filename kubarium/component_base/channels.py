"""What a client and a process say to each other, by the number of the channel, whatever carries it.

0 stdin, 1 stdout, 2 stderr, 3 the end as a `Status`, 4 the size of the terminal; 255 says that a channel is at its
end, by its number in the content. A WebSocket has the number in the first byte of each message; SPDY has a stream for
each channel.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import wsproto
from wsproto import events

from kubarium.component_base import spdy

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
STDIN_ENDS = bytes((STDIN,))
STREAMS = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
CHUNK = 32 * 1024
OPEN_TIMEOUT = 30.0  # seconds for a client to open all its streams


class Channels(Protocol):
    """The client's end."""

    async def receive(self) -> tuple[int, bytes] | None:
        """What came next; None when the client is gone."""
        ...

    async def send(self, channel: int, content: bytes) -> None:
        """Say something; nothing happens when the client is gone."""
        ...

    async def close(self) -> None:
        """Say that this was all."""
        ...


class WebSocket:
    """The server's end of a WebSocket, as whole binary messages."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head: bytes,
        protocols: Sequence[str],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._socket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        self._socket.receive_data(head)
        self._parts: list[bytes] = []
        request = next(self._socket.events())
        offered = request.subprotocols if isinstance(request, events.Request) else []
        self._accept(next((name for name in protocols if name in offered), None), bool(offered))

    def _accept(self, chosen: str | None, must_choose: bool) -> None:
        """A client that wants none of these must be refused: it then tries SPDY."""
        self.accepted = chosen is not None or not must_choose
        answer = (
            events.AcceptConnection(subprotocol=chosen)
            if self.accepted
            else events.RejectConnection(status_code=403)
        )
        self._writer.write(self._socket.send(answer))

    async def receive(self) -> bytes | None:
        """The next message that is not empty; None when the client is gone."""
        while True:
            for event in self._socket.events():
                if isinstance(event, events.CloseConnection):
                    return None
                if isinstance(event, events.Ping):
                    self._writer.write(self._socket.send(event.response()))
                message = self._message(event)
                if message:
                    return message
            try:
                data = await self._reader.read(CHUNK)
                self._socket.receive_data(data or None)
            except (ConnectionError, wsproto.utilities.RemoteProtocolError):
                return None
            if not data:
                return None

    def _message(self, event: events.Event) -> bytes:
        """The whole message, once its last part is there."""
        if not isinstance(event, events.BytesMessage):
            return b""
        self._parts.append(bytes(event.data))
        if not event.message_finished:
            return b""
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole

    async def send(self, message: bytes) -> None:
        """Send one message; nothing happens when the client is gone."""
        with contextlib.suppress(ConnectionError, wsproto.utilities.LocalProtocolError):
            self._writer.write(self._socket.send(events.BytesMessage(message)))
            await self._writer.drain()

    async def close(self) -> None:
        """Say that this was all."""
        with contextlib.suppress(ConnectionError, wsproto.utilities.LocalProtocolError):
            self._writer.write(self._socket.send(events.CloseConnection(code=1000)))
            await self._writer.drain()


class WebSocketChannels:
    """One message, one piece: `v5.channel.k8s.io` and its older sisters."""

    PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self._socket = WebSocket(reader, writer, head, self.PROTOCOLS)
        self.accepted = self._socket.accepted

    async def receive(self) -> tuple[int, bytes] | None:
        message = await self._socket.receive()
        return (message[0], message[1:]) if message else None

    async def send(self, channel: int, content: bytes) -> None:
        await self._socket.send(bytes((channel,)) + content)

    async def close(self) -> None:
        await self._socket.close()


class SPDYClient:
    """A SPDY connection over asyncio: `opened` gets each new stream, and None in the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened: asyncio.Queue[spdy.Stream | None] = asyncio.Queue()
        self.writer = writer
        self._reader = reader
        self._connection = spdy.Connection(self._write, self.opened.put_nowait)

    def _write(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)

    async def run(self) -> None:
        """Read until the client is gone."""
        with contextlib.suppress(ConnectionError):
            while data := await self._reader.read(CHUNK):
                self._connection.feed(data)
        self._connection.end()
        self.opened.put_nowait(None)


class SPDYChannels:
    """One stream, one channel: `v4.channel.k8s.io` over SPDY."""

    PROTOCOL = "v4.channel.k8s.io"

    def __init__(self, client: SPDYClient) -> None:
        self._client = client
        self._streams: dict[int, spdy.Stream] = {}
        self._received: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, wanted: int) -> None:
        """Wait until the client has opened as many streams as it should."""
        async with asyncio.timeout(OPEN_TIMEOUT):
            while len(self._streams) < wanted:
                stream = await self._client.opened.get()
                if stream is None:
                    return
                channel = STREAMS[stream.headers.get("streamtype", "error")]
                self._streams[channel] = stream
                if channel in (STDIN, RESIZE):
                    self._tasks.append(asyncio.ensure_future(self._listen(channel, stream)))
        self._tasks.append(asyncio.ensure_future(self._until_gone()))

    async def _listen(self, channel: int, stream: spdy.Stream) -> None:
        while data := await stream.received.get():
            self._received.put_nowait((channel, data))
        self._received.put_nowait((CLOSE, bytes((channel,))))

    async def _until_gone(self) -> None:
        while await self._client.opened.get() is not None:
            pass
        self._received.put_nowait(None)

    async def receive(self) -> tuple[int, bytes] | None:
        return await self._received.get()

    async def send(self, channel: int, content: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is not None and content:
            stream.write(content)
            with contextlib.suppress(ConnectionError):
                await self._client.writer.drain()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stream in self._streams.values():
            stream.close()
        with contextlib.suppress(ConnectionError):
            await self._client.writer.drain()


def parse_head(head: bytes) -> tuple[str, Mapping[str, str]]:
    """Path and headers of a request; a header given twice counts as one with commas."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.strip().lower()
        headers[key] = f"{headers[key]},{value.strip()}" if key in headers else value.strip()
    return first.split(" ")[1], headers
