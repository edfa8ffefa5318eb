"""The control plane in memory, for each test anew."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.controller_manager.cluster import Cluster


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    found = Cluster()
    yield found
    await found.stop()
