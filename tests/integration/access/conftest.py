from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest

from kubarium.apimachinery.errors import AlreadyExists
from kubarium.client.rest import Client
from tests.integration.running import ApiServer


@pytest.fixture
async def default_account(client: Client, namespace: str) -> str:
    """A namespace whose account `default` is there, as the controller manager would have made it."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace},
    }
    with contextlib.suppress(AlreadyExists):  # a controller manager of other tests may be running
        await client.resource("v1", "serviceaccounts").create(account)
    return namespace


@pytest.fixture
async def bob(api_server: ApiServer) -> AsyncIterator[Client]:
    """Somebody without any rights."""
    async with api_server.client("bob", ()) as user:
        yield user
