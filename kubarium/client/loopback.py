"""A transport that calls an ASGI application in the same process and streams its answer.

httpx's and starlette's own in-process transports return only when the whole answer is there, so that a watch would
never begin; this one returns with the head.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

from kubarium.client.transport import Answer

Scope = MutableMapping[str, Any]
App = Callable[
    [
        Scope,
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


class LoopbackAnswer:
    """The answer of an application that may still be speaking."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=64)
        self.task: asyncio.Task[None] | None = None
        self.closed = asyncio.Event()

    async def put(self, message: MutableMapping[str, Any]) -> None:
        """What the application sends."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {
                name.decode().lower(): value.decode() for name, value in message.get("headers", ())
            }
            if not self.started.done():
                self.started.set_result(None)
            return
        if self.closed.is_set():
            return
        if message.get("body"):
            await self._parts.put(bytes(message["body"]))
        if not message.get("more_body"):
            await self._parts.put(None)

    def end(self, task: asyncio.Task[None]) -> None:
        """The application has returned."""
        error = None if task.cancelled() else task.exception()
        if not self.started.done():
            self.started.set_exception(ConnectionError(f"the application ended without an answer: {error}"))
            self.started.exception()  # who waited may be gone: that nobody hears it is no news then
        if self._parts.full():
            self._parts.get_nowait()
        self._parts.put_nowait(None)

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part
        self.close()

    def close(self) -> None:
        self.closed.set()
        if self.task is not None and not self.task.done():
            self.task.cancel()


class LoopbackTransport:
    """Every request is a task that runs the application; `scope` is added to each request's scope."""

    def __init__(self, app: App, scope: Mapping[str, Any] | None = None) -> None:
        self._app = app
        self._scope = dict(scope or {})
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, timeout: float | None
    ) -> Answer:
        path, _, query = target.partition("?")
        answer = LoopbackAnswer()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 443),
            "root_path": "",
            "state": {},
            **self._scope,
        }
        sent = False

        async def receive() -> MutableMapping[str, Any]:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body or b"", "more_body": False}
            await answer.closed.wait()
            return {"type": "http.disconnect"}

        task = asyncio.get_running_loop().create_task(
            self._run(scope, receive, answer), name=f"loopback {target}"
        )
        answer.task = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(answer.end)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(answer.started)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _run(
        self, scope: Scope, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], answer: LoopbackAnswer
    ) -> None:
        await self._app(scope, receive, answer.put)

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
