"""A real etcd for one test module: started on a free pair of ports, killed by its process."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from pathlib import Path

from apiserver.storage.etcd_client import EtcdClient, EtcdTLS
from apiserver.storage.interface import StorageError
from tests.integration.running import free_port


class Etcd:
    """One member, in a directory of its own."""

    def __init__(self, directory: Path | None = None, tls: EtcdTLS | None = None, *flags: str) -> None:
        self.port, self._peer_port = free_port(), free_port()
        self.tls = tls
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self._flags = flags
        self._directory = directory or Path(tempfile.mkdtemp(prefix="etcd-"))
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start, and wait until it answers."""
        peer = f"http://127.0.0.1:{self._peer_port}"
        self._process = await asyncio.create_subprocess_exec(
            "etcd",
            *("--data-dir", str(self._directory), "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}"),
            *self._flags,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        client = EtcdClient([self.url], self.tls)
        try:
            async with asyncio.timeout(60):
                while True:
                    try:
                        await client.revision()
                        return
                    except StorageError:
                        await asyncio.sleep(0.02)
        finally:
            await client.close()

    async def kill(self) -> None:
        """End it without warning; what it wrote stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()
            self._process = None

    async def remove(self) -> None:
        """End it and delete what it wrote."""
        await self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)
