"""What all tests share."""

from __future__ import annotations

import pytest

from kubarium.component_base.clock import FakeClock


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutine tests run on asyncio."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test turns."""
    return FakeClock()
