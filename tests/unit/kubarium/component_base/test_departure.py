"""What is done for a client, and when it is broken off."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from kubarium.component_base.departure import until_gone, while_listened


async def test_it_is_broken_off_when_the_client_goes() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen = []
    async with while_listened(gone):
        seen.append("begun")
        gone.set_result(None)
        await asyncio.Event().wait()
        seen.append("never")
    assert seen == ["begun"]
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_it_ends_by_itself_and_nothing_of_it_is_left() -> None:
    before = asyncio.all_tasks()
    async with while_listened(asyncio.Event().wait()):
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_what_is_done_at_once_leaves_no_listener_that_never_listened() -> None:
    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody has listened yet")

    before = asyncio.all_tasks()
    async with while_listened(until_gone(receive)):
        pass
    await asyncio.sleep(0)
    gc.collect()  # which warns of a coroutine that was never awaited, and warnings are errors
    assert asyncio.all_tasks() == before


async def test_errors_and_cancellation_go_through() -> None:
    gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError, match="another"):
        async with while_listened(gone):
            raise TimeoutError("another")

    async def work() -> None:
        async with while_listened(asyncio.get_running_loop().create_future()):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_the_rest_of_a_request_is_no_departure() -> None:
    messages: list[dict[str, Any]] = [{"type": "http.request"}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    await until_gone(receive)
    assert messages == []
