"""Is there room? Each request takes a seat of its priority level, waits for one, or gets 429."""

from __future__ import annotations

from apiserver.filters.priority_levels import Place, PriorityLevels
from apiserver.filters.read_request_info import HEADERS, is_long_running
from apiserver.filters.seats import Ticket
from apiserver.request import CONTEXT, RequestContext
from kubarium.apimachinery import errors
from kubarium.component_base.serving import App, Receive, Scope, Send

RETRY_SECONDS = 1


class Fairness:
    """Seats requests by the flow schemas; says in the headers which schema and level it was."""

    def __init__(self, app: App, levels: PriorityLevels) -> None:
        self._app = app
        self._levels = levels

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context: RequestContext = scope[CONTEXT]
        place = self._levels.place_of(context.user, context.info)
        if place is None:
            await self._app(scope, receive, send)
            return
        scope[HEADERS] += _headers(place)
        # Streams last: they would hold their seats for ever.
        if is_long_running(context.info):
            await self._app(scope, receive, send)
            return
        level = place.level
        seats = self._levels.seats_for(context, level)
        ticket = Ticket(context, place.schema, place.distinguisher, seats)
        if await level.enter(ticket):
            raise errors.TooManyRequests.after(RETRY_SECONDS)
        try:
            await self._app(scope, receive, send)
        finally:
            level.leave(ticket)


def _headers(place: Place) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-kubernetes-pf-flowschema-uid", place.schema_uid.encode()),
        (b"x-kubernetes-pf-prioritylevel-uid", place.level.uid.encode()),
    ]
