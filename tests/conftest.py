"""What all tests share."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import hypothesis
import pytest

from kubarium.component_base.clock import FakeClock

# Examples may take long on a busy machine; how long is no question of these tests. They are the same everywhere.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

# Many clients go where a proxy's variables say; whom tests talk to is on this machine.
for _name in ("no_proxy", "NO_PROXY"):
    _near = "localhost,127.0.0.1,10.0.0.0/8,.svc,.cluster.local"
    os.environ[_name] = ",".join(filter(None, (os.environ.get(_name), _near)))

HUNG_UP = "Error on transport creation for incoming connection"


class Loop(asyncio.SelectorEventLoop):
    """A loop of one test. What gRPC has still to say when it has ended, nobody wants to hear.

    gRPC has one queue of events for all loops of a process, and whichever loop runs passes them on: that the call of an
    earlier test has been cancelled would be an error of this one. With PYTHONDEVMODE, and only then, asyncio complains
    of clients that hang up in the middle of a handshake.
    """

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        """As every loop does it."""
        if self.is_closed() and (getattr(callback, "__module__", None) or "").startswith("grpc."):
            return None
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_exception_handler(self, context: Any) -> None:
        """As every loop does it."""
        if not (
            (context.get("message") or "").startswith(HUNG_UP)
            and isinstance(context.get("exception"), OSError)
        ):
            super().call_exception_handler(context)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Coroutine tests run on asyncio."""
    return "asyncio", {"loop_factory": Loop}


@pytest.fixture
def clock() -> FakeClock:
    """A clock that only the test turns."""
    return FakeClock()
