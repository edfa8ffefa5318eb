"""One scheduler for all stories of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from kubarium.apimachinery.errors import StatusError
from kubarium.client.rest import Client
from tests.integration.running import ApiServer
from tests.integration.scheduler.world import SchedulerProcess, World, eventually


@pytest.fixture(scope="package")
def scheduler(api_server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchedulerProcess]:
    """A running scheduler."""
    process = SchedulerProcess(api_server, tmp_path_factory.mktemp("scheduler"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def pages(scheduler: SchedulerProcess, api_server: ApiServer) -> AsyncIterator[Client]:
    """The scheduler's own pages, for an administrator."""
    async with Client(scheduler.pages_as(api_server.config())) as client:
        await eventually(lambda: _is_ready(client))
        yield client


async def _is_ready(client: Client) -> bool:
    try:
        return bool(await client.request("GET", "/readyz") == "ok")
    except (StatusError, ConnectionError):
        return False


@pytest.fixture
async def world(client: Client, default_account: str, scheduler: SchedulerProcess) -> AsyncIterator[World]:
    """An empty namespace where pods can be made."""
    made = World(client, default_account)
    yield made
    await made.clean()
