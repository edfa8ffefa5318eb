"""Plugins with real sockets; the clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kubarium.component_base.clock import FakeClock
from kubelet.plugins.watcher import MESSAGES, SERVICE, PluginWatcher, RegistrationError
from tests import plugin_server


class Plugin:
    """One that registers, and remembers what it was told."""

    def __init__(self, socket: Path, kind: str = "Thing", name: str = "one") -> None:
        self.socket, self.kind, self.name = socket, kind, name
        self.told: list[tuple[bool, str]] = []
        self._server: Any = None

    async def start(self) -> None:
        async def info(request: Any, context: Any) -> Any:
            return MESSAGES["PluginInfo"](type=self.kind, name=self.name, supported_versions=["1.0.0"])

        async def notify(request: Any, context: Any) -> Any:
            self.told.append((request.plugin_registered, request.error))
            return MESSAGES["RegistrationStatusResponse"]()

        self._server = await plugin_server.listen(
            self.socket,
            SERVICE,
            MESSAGES,
            {
                "GetInfo": (info, "InfoRequest"),
                "NotifyRegistrationStatus": (notify, "RegistrationStatus"),
            },
        )

    async def stop(self) -> None:
        await self._server.stop(None)
        self.socket.unlink(missing_ok=True)


class Things:
    """Takes plugins in, unless it is told to refuse."""

    def __init__(self) -> None:
        self.present: list[str] = []
        self.refuses = ""

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        if self.refuses:
            raise RegistrationError(self.refuses)
        self.present.append(name)

    async def deregister(self, name: str, endpoint: str) -> None:
        self.present.remove(name)


@pytest.fixture
async def things(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Things]:
    made = Things()
    task = asyncio.create_task(PluginWatcher(tmp_path / "reg", clock, {"Thing": made}).run())
    await clock.advance(0.1)
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(clock: FakeClock, is_so: Callable[[], Any]) -> None:
    """Turn the clock, and give the sockets real time."""
    async with asyncio.timeout(60):
        while not is_so():
            await clock.advance(0.5)
            await asyncio.sleep(0.01)


async def test_a_plugin_comes_and_goes(tmp_path: Path, clock: FakeClock, things: Things) -> None:
    plugin = Plugin(tmp_path / "reg/one.sock")
    await plugin.start()
    await until(clock, lambda: plugin.told)
    assert things.present == ["one"] and plugin.told == [(True, "")]
    await plugin.stop()
    await until(clock, lambda: not things.present)
    await plugin.start()  # the same name, another socket
    await until(clock, lambda: things.present)
    await plugin.stop()


async def test_a_refused_plugin_is_told_why_and_asked_again(
    tmp_path: Path, clock: FakeClock, things: Things
) -> None:
    things.refuses = "not today"
    plugin = Plugin(tmp_path / "reg/one.sock")
    await plugin.start()
    await until(clock, lambda: plugin.told)
    assert plugin.told[0] == (
        False,
        "RegisterPlugin error -- plugin registration failed with err: not today",
    )
    things.refuses = ""
    await until(clock, lambda: things.present)
    await plugin.stop()


async def test_a_plugin_of_an_unknown_kind(tmp_path: Path, clock: FakeClock, things: Things) -> None:
    plugin = Plugin(tmp_path / "reg/other.sock", kind="Other")
    await plugin.start()
    await until(clock, lambda: plugin.told)
    assert "no handler registered for plugin type: Other" in plugin.told[0][1]
    await plugin.stop()
