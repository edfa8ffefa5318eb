"""A time limit for everything but watches and streams."""

from __future__ import annotations

import asyncio

from apiserver.filters.metrics import terminated
from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext, first
from kubarium.apimachinery import errors
from kubarium.component_base.options import parse_duration
from kubarium.component_base.serving import App, Receive, Scope, Send

TOO_LATE = "Timeout: request did not complete within the allotted timeout"


class _Limit:
    """`asyncio.timeout`, for a quarter of the price: each request has one."""

    __slots__ = ("_cancelling", "_expired", "_task", "timer")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self.timer = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def caused_this(self) -> bool:
        """Was it this, and nobody else, that cancelled the task?"""
        return self._expired and self._task.uncancel() <= self._cancelling


class Deadline:
    """Ends a request that takes too long with 504; `?timeout=` shortens the limit."""

    def __init__(self, app: App, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext | None = scope.get(CONTEXT)
        if context is None or is_long_running(context.info):
            await self._app(scope, receive, send)
            return
        limit = _Limit(self._limit(context))
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if limit.caused_this():
                terminated(context.info, errors.Timeout.code)
                raise errors.Timeout(TOO_LATE, {}) from None
            raise
        finally:
            limit.timer.cancel()

    def _limit(self, context: RequestContext) -> float:
        text = first(context.query, "timeout")
        if not text:
            return self._seconds
        try:
            asked = parse_duration(text)
        except ValueError as error:
            raise errors.BadRequest(f"invalid timeout specified in the request URL - {error}") from None
        return min(asked, self._seconds) if asked > 0 else self._seconds
