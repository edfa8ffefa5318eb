"""Keeps log files small: a file that is too long is renamed, the runtime opens a new one, old ones are compressed.

0.log                      being written
0.log.20260101-120000      the newest old one, still plain: a reader may be in it
0.log.20260101-110000.gz   older ones
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from datetime import datetime
from pathlib import Path

from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerRuntimeError, Runtime

log = logging.get(__name__)


class LogRotation:
    """Looks at the logs of running containers."""

    def __init__(
        self, runtime: Runtime, clock: Clock, *, max_bytes: int, max_files: int, period: float = 10.0
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max(2, max_files)
        self._period = period  # seconds
        self._paths: dict[str, Path] = {}

    async def run(self) -> None:
        """Look again and again."""
        while True:
            try:
                await self.look()
            except (ContainerRuntimeError, OSError) as error:
                log.info("logs not rotated: %s", error)
            except Exception:
                log.exception("logs not rotated")
            await self._clock.sleep(self._period)

    async def look(self) -> None:
        """Rotate what has grown too long."""
        running = {one.id for one in await self._runtime.list_containers() if one.state == interface.RUNNING}
        for id in [id for id in self._paths if id not in running]:
            del self._paths[id]
        for id in running:
            if id not in self._paths:
                self._paths[id] = Path((await self._runtime.container_status(id)).log_path)
            path = self._paths[id]
            if not os.path.lexists(path):
                await self._reopen(id)
                continue
            # A link leads to the file of a runtime that rotates its logs by itself.
            if path.is_file() and not path.is_symlink() and path.stat().st_size > self._max_bytes:
                await self._rotate(id, path)

    async def _reopen(self, container_id: str) -> None:
        """A kubelet that died after renaming has left the container without a log."""
        try:
            await self._runtime.reopen_log(container_id)
        except ContainerRuntimeError as error:
            log.info("log of container %s not opened again: %s", container_id, error)

    async def _rotate(self, container_id: str, path: Path) -> None:
        await asyncio.to_thread(self._tidy, path)
        renamed = Path(f"{path}.{_stamp(self._clock.now())}")
        path.rename(renamed)
        try:
            await self._runtime.reopen_log(container_id)
        except ContainerRuntimeError:
            renamed.rename(path)  # the runtime goes on writing into the old file
            raise
        log.debug("log %s rotated", path)

    def _tidy(self, path: Path) -> None:
        """Compress the old files and drop the oldest, so that with the new ones there are not too many."""
        old = sorted(file for file in path.parent.glob(f"{path.name}.*") if file.suffix != ".tmp")
        while len(old) > self._max_files - 2:
            old.pop(0).unlink()
        for file in old:
            if file.suffix != ".gz":
                _compress(file)


def _compress(file: Path) -> None:
    temporary = Path(f"{file}.tmp")
    with file.open("rb") as source, gzip.open(temporary, "wb") as target:
        shutil.copyfileobj(source, target)
    temporary.rename(f"{file}.gz")
    file.unlink()


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%d-%H%M%S")
