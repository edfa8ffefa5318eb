"""What is done for a client ends when the client has gone.

Go's servers cancel the context of a request then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from kubarium.component_base.serving import Receive


async def until_gone(receive: Receive) -> None:
    """Return when the client has hung up. Its request must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def while_listened(gone: Awaitable[object]) -> AsyncIterator[None]:
    """Do something for a client; it is broken off, and what follows goes on, when `gone` is done."""
    loop, under_way = asyncio.get_running_loop(), True

    def leave(listener: asyncio.Future[object]) -> None:
        if under_way and not listener.cancelled():
            patience.reschedule(loop.time())

    try:
        async with asyncio.timeout(None) as patience:
            listener = asyncio.ensure_future(gone)  # itself, so that it is closed even if it never began
            listener.add_done_callback(leave)
            try:
                yield
            finally:
                under_way = False
                listener.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
