"""Two plain limits, for reading and for changing requests, where no priorities and fairness are wanted."""

from __future__ import annotations

from apiserver.filters.metrics import terminated
from apiserver.filters.read_request_info import is_long_running
from apiserver.request import CONTEXT, RequestContext
from kubarium.api.authentication import users
from kubarium.apimachinery import errors
from kubarium.component_base.serving import App, Receive, Scope, Send

RETRY_SECONDS = 1
READING = frozenset({"get", "list", "watch"})


class InFlight:
    """Refuses what is too much; a limit of 0 is none. Streams do not count, and administrators are never refused."""

    def __init__(self, app: App, reading: int, changing: int) -> None:
        self._app = app
        self._limits = {True: reading, False: changing}
        self._active = {True: 0, False: 0}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        reads = context.info.verb in READING
        limit = self._limits[reads]
        if not limit or is_long_running(context.info):
            await self._app(scope, receive, send)
            return
        if self._active[reads] >= limit and users.MASTERS not in context.user.groups:
            terminated(context.info, errors.NoRoom.code)
            raise errors.NoRoom.after(RETRY_SECONDS)
        self._active[reads] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._active[reads] -= 1
