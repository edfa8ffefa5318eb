"""The same deliveries without an API server: a loop that encrypts an event for each watcher and writes it, no more.

`python -m benchmarks.bare_fan_out PORT DIRECTORY` answers whatever the load generator asks, and hands the body of each
PATCH to all watchers. What this takes is OpenSSL's and the kernel's; what an API server takes above it is its own.
"""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import sys
from collections.abc import Callable
from typing import Any, cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
_PADDING = b" " * 2100  # bytes: an event of the load generator's config map has about as many

Deliver = Callable[[bytes], object]


class Connection(asyncio.Protocol):
    """One client. TLS is done by hand: no layer stands between an event and the socket."""

    def __init__(self, context: ssl.SSLContext, watchers: list[Deliver]) -> None:
        self._watchers = watchers
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaken = False
        self._text = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._descriptor = transport.get_extra_info("socket").fileno()

    def connection_lost(self, error: Exception | None) -> None:
        self._watchers[:] = [deliver for deliver in self._watchers if deliver != self._deliver]

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
            while data := self._tls.read(65536):
                self._text += data
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._transport.close()
            return
        if self._outgoing.pending:
            self._transport.write(self._outgoing.read())
        while request := self._request():
            self._answer(*request)

    def _request(self) -> tuple[bytes, bytes] | None:
        head, ended, rest = self._text.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if not ended or len(rest) < size:
            return None
        self._text = rest[size:]
        return head, rest[:size]

    def _answer(self, head: bytes, body: bytes) -> None:
        if b"watch=1" in head:
            self._watchers.append(self._deliver)
        elif head.startswith(b"PATCH"):
            event = body.replace(b": ", b":") + _PADDING
            framed = b"%x\r\n%b\r\n" % (len(event), event)
            for deliver in self._watchers:
                deliver(framed)
        self._deliver(_STREAM if b"watch=1" in head else _ANSWER)

    def _deliver(self, data: bytes) -> None:
        self._tls.write(data)
        os.write(self._descriptor, self._outgoing.read())


async def serve(port: int, directory: str) -> None:
    """Serve until killed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{directory}/ca.crt")
    context.load_cert_chain(f"{directory}/server.crt", f"{directory}/server.key")
    watchers: list[Deliver] = []
    server: Any = await asyncio.get_running_loop().create_server(
        lambda: Connection(context, watchers), "127.0.0.1", port
    )
    print("ready", flush=True)
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
