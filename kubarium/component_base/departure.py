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
async def while_listened(gone: Awaitable[None]) -> AsyncIterator[None]:
    """Do something for a client; it is broken off, and what follows goes on, when `gone` is done."""
    loop = asyncio.get_running_loop()

    async def listen() -> None:
        await gone
        patience.reschedule(loop.time())

    try:
        async with asyncio.timeout(None) as patience:
            listener = loop.create_task(listen(), name="departure")
            try:
                yield
            finally:
                listener.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
