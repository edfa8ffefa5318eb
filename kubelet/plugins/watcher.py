"""Finds the sockets that plugins make in `plugins_registry`, asks each who it is, and tells it whether it may serve.

    socket appears ──▶ GetInfo ──▶ handler.register ──▶ NotifyRegistrationStatus
    socket goes, or is made anew ──▶ handler.deregister
A registration that fails is tried again, later and later, as long as the socket is there.
Source: https://kubernetes.io/docs/reference/node/kubelet-files/#plugins-registry
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import grpc

from kubarium.component_base import logging, wire
from kubarium.component_base.clock import Clock
from kubarium.component_base.plugin_socket import PluginError, PluginSocket

log = logging.get(__name__)

MESSAGES = wire.load(Path(__file__).with_name("registration.proto"))
SERVICE = "pluginregistration.Registration"
PERIOD = 1.0  # seconds between looks at the directory
DEADLINE = 10.0
FIRST_RETRY, LAST_RETRY = 0.5, 120.0

Identity = tuple[int, int]


class RegistrationError(Exception):
    """The plugin cannot be registered; it is told why."""


class Handler(Protocol):
    """Takes in plugins of one kind."""

    async def register(self, name: str, endpoint: str, versions: Sequence[str]) -> None:
        """The plugin says that it serves. Raises RegistrationError or PluginError."""
        ...

    async def deregister(self, name: str, endpoint: str) -> None:
        """The plugin has gone."""
        ...


class PluginWatcher:
    """One task for each socket."""

    def __init__(self, directory: Path, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self._directory = directory
        self._clock = clock
        self._handlers = handlers
        self._serving: dict[Path, tuple[Identity, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Look every second."""
        self._directory.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._look(tasks)
                await self._clock.sleep(PERIOD)

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        found = dict(sockets_in(self._directory))
        for path, (identity, task) in list(self._serving.items()):
            if found.get(path) != identity:
                del self._serving[path]
                task.cancel()
                await asyncio.wait([task])
        for path, identity in found.items():
            if path not in self._serving:
                self._serving[path] = identity, tasks.create_task(self._serve(path))

    async def _serve(self, path: Path) -> None:
        """Register the plugin, and deregister it when this is cancelled."""
        delay = FIRST_RETRY
        while True:
            try:
                kind, name, endpoint = await self._register(path)
                break
            except (RegistrationError, PluginError, OSError, TimeoutError) as error:
                log.info("plugin at %s not registered: %s", path, error)
            except Exception:
                log.exception("plugin at %s not registered", path)
            await self._clock.sleep(delay)
            delay = min(2 * delay, LAST_RETRY)
        try:
            await asyncio.Event().wait()
        finally:
            await self._leave(kind, name, endpoint)

    async def _leave(self, kind: str, name: str, endpoint: str) -> None:
        log.info("plugin %s (%s) has gone", name, kind)
        await self._handlers[kind].deregister(name, endpoint)

    async def _register(self, path: Path) -> tuple[str, str, str]:
        socket = PluginSocket(f"unix://{path}", MESSAGES, SERVICE)
        try:
            info = await socket.call("GetInfo", "InfoRequest", "PluginInfo", DEADLINE)
            endpoint = info.endpoint or str(path)
            try:
                handler = self._handlers.get(info.type)
                if handler is None:
                    raise RegistrationError(
                        f"RegisterPlugin error -- no handler registered for plugin type: {info.type} at socket {path}"
                    )
                await handler.register(info.name, endpoint, list(info.supported_versions))
            except (RegistrationError, PluginError) as error:
                await self._notify(
                    socket, False, f"RegisterPlugin error -- plugin registration failed with err: {error}"
                )
                raise
            await self._notify(socket, True, "")
            log.info("plugin %s (%s) registered, it serves at %s", info.name, info.type, endpoint)
            return info.type, info.name, endpoint
        finally:
            await socket.close()

    @staticmethod
    async def _notify(socket: PluginSocket, registered: bool, error: str) -> None:
        try:
            await socket.call(
                "NotifyRegistrationStatus",
                "RegistrationStatus",
                "RegistrationStatusResponse",
                DEADLINE,
                plugin_registered=registered,
                error=error,
            )
        except PluginError as failure:
            if failure.code is not grpc.StatusCode.UNIMPLEMENTED:
                raise


def sockets_in(directory: Path) -> Iterable[tuple[Path, Identity]]:
    """Every socket below, and what tells it from a later one of the same name; hidden files are no plugins."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from sockets_in(Path(entry.path))
            elif stat.S_ISSOCK((found := entry.stat()).st_mode):
                yield Path(entry.path), (found.st_ino, found.st_ctime_ns)
        except FileNotFoundError:
            continue
