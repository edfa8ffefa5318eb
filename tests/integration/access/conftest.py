from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from kubarium.client.rest import Client
from tests.integration.running import ApiServer


@pytest.fixture
async def bob(api_server: ApiServer) -> AsyncIterator[Client]:
    """Somebody without any rights."""
    async with api_server.client("bob", ()) as user:
        yield user
