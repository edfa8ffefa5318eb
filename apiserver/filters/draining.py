"""How a server leaves: for a while it only says that it is not ready, then it refuses what is new.

SIGTERM ─▶ /readyz fails ─ --shutdown-delay-duration ─▶ new requests get 429 ─▶ all are done ─▶ the port closes
                                                         └ only with --shutdown-send-retry-after ┘
"""

from __future__ import annotations

import asyncio

from apiserver.filters.authentication import USER
from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext
from kubarium.component_base.serving import App, Receive, Scope, Send

RETRY_AFTER = b"5"  # seconds
TEXT = b"The apiserver is shutting down, please try again later."
_ALWAYS = ("/healthz", "/livez", "/readyz")


class Shutdown:
    """How far the server is with leaving."""

    def __init__(self) -> None:
        self.begun = False  # it has been asked to end
        self.refusing = False  # new requests shall come another time, elsewhere
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def check(self) -> None:
        """The check called `shutdown`."""
        if self.begun:
            raise RuntimeError("process is shutting down")

    def enter(self) -> None:
        """A request begins that will be waited for."""
        self._active += 1
        self._idle.clear()

    def leave(self) -> None:
        """It is done."""
        self._active -= 1
        if not self._active:
            self._idle.set()

    async def drained(self) -> None:
        """Return when nothing is under way that will end by itself."""
        await self._idle.wait()


class Draining:
    """Counts what is under way, and refuses what comes too late."""

    def __init__(self, app: App, shutdown: Shutdown) -> None:
        self._app = app
        self._shutdown = shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        if context.info.path.startswith(_ALWAYS) or USER in scope:  # somebody in this process
            await self._app(scope, receive, send)
        elif self._shutdown.refusing:
            await _refuse(send)
        elif is_long_running(context.info):
            await self._app(scope, receive, send)
        else:
            self._shutdown.enter()
            try:
                await self._app(scope, receive, send)
            finally:
                self._shutdown.leave()


async def _refuse(send: Send) -> None:
    headers = [
        (b"retry-after", RETRY_AFTER), (b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % (len(TEXT) + 1)),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": TEXT + b"\n"})
