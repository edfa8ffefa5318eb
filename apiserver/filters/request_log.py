"""One line of the log for each request, from `-v=3` on: what was asked, by whom, and what they were told."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from apiserver.request import CONTEXT, RequestContext
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.serving import App, Receive, Scope, Send

log = logging.get(__name__)

REQUESTS = logging.at(3)


def is_wanted() -> bool:
    """Does this process show such lines? Whoever does not ask for them does not pay for them."""
    return log.isEnabledFor(REQUESTS)


class RequestLog:
    """Writes the line when the answer has ended: for a watch, when the watch has."""

    def __init__(self, app: App, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, code = self._clock.monotonic(), 0

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal code
            code = code or message.get("status") or 0
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            context: RequestContext = scope[CONTEXT]
            query = scope.get("query_string", b"").decode("latin-1")
            log.log(
                REQUESTS,
                "%s %s%s: %d to %s in %.1f ms, by %s",
                scope.get("method", "GET"),
                scope["path"],
                f"?{query}" if query else "",
                code or 101,
                context.user.name,
                (self._clock.monotonic() - began) * 1000,
                context.user_agent or "no user agent",
            )
