"""etcd and the API server as processes of their own, in a directory that goes away afterwards."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import ssl
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import load
from kubarium.component_base import certificates

START_TIMEOUT = 60.0  # seconds
_PR_SET_PDEATHSIG = 1


class ControlPlane:
    """An empty cluster's etcd and API server; `async with ControlPlane(port) as plane: ...`.

    `program` is another API server than ours: it must take the same flags.
    """

    def __init__(self, port: int, *flags: str, directory: Path | None = None, program: str = "") -> None:
        self.port = port
        self.flags = flags
        self.program = program
        self.directory = directory or Path(tempfile.mkdtemp(prefix="kubarium-bench-"))
        self.start_seconds = 0.0
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Self:
        self._write_certificates()
        try:
            await self._start_etcd()
            await self.start_api_server()
        except BaseException as problem:
            await self.__aexit__(type(problem), problem, problem.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self._processes)):
            await self.stop(name)
        if error is None and "BENCH_KEEP" not in os.environ:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def start_api_server(self) -> None:
        """Start it, and wait until `/readyz` says yes."""
        begun = time.monotonic()
        file = self._file
        interpreter = os.environ.get("BENCH_PYTHON", sys.executable).split()  # e.g. a profiler
        await self._spawn(
            "apiserver",
            *([self.program] if self.program else [*interpreter, "-m", "apiserver"]),
            f"--etcd-servers=http://127.0.0.1:{self.port + 1}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={file('server.crt')}",
            f"--tls-private-key-file={file('server.key')}",
            f"--client-ca-file={file('ca.crt')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={file('sa.pub')}",
            f"--service-account-signing-key-file={file('sa.key')}",
            "--authorization-mode=RBAC",
            *self.flags,
        )
        while not await self._is_ready():
            process = self._processes["apiserver"]
            if process.returncode is not None or time.monotonic() > begun + START_TIMEOUT:
                raise RuntimeError(f"no API server: see {self.directory}/apiserver.log")
            await asyncio.sleep(0.02)
        self.start_seconds = time.monotonic() - begun

    async def stop(self, name: str) -> None:
        """End one process and wait for it."""
        process = self._processes.pop(name)
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(20):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    def client_context(self) -> ssl.SSLContext:
        """TLS as the administrator."""
        context = ssl.create_default_context(cafile=self._file("ca.crt"))
        context.load_cert_chain(self._file("admin.crt"), self._file("admin.key"))
        return context

    def cpu_seconds(self, name: str) -> float:
        """Processor time that a process has used."""
        return load.cpu_seconds(self.pid(name))

    def pid(self, name: str) -> int:
        """The process itself."""
        return self._processes[name].pid

    def memory_mib(self, name: str) -> float:
        """Resident memory of a process."""
        status = Path(f"/proc/{self._processes[name].pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def _file(self, name: str) -> str:
        return str(self.directory / name)

    def _write_certificates(self) -> None:
        authority = certificates.Authority.create("kubernetes-ca")
        Path(self._file("ca.crt")).write_bytes(authority.cert_pem)
        authority.server("kube-apiserver", ["127.0.0.1", "localhost"]).write(
            self._file("server.crt"), self._file("server.key")
        )
        authority.client("kubernetes-admin", ["system:masters"]).write(
            self._file("admin.crt"), self._file("admin.key")
        )
        authority.client("system:kube-scheduler").write(
            self._file("scheduler.crt"), self._file("scheduler.key")
        )
        certificates.service_account_key().write(self._file("sa.pub"), self._file("sa.key"))

    async def _start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self.port + 1}", f"http://127.0.0.1:{self.port + 2}"
        await self._spawn(
            "etcd",
            "etcd",
            f"--data-dir={self.directory}/etcd",
            "--log-level=error",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )
        while not await _answers(self.port + 1):  # noqa: ASYNC110  another process tells us nothing
            await asyncio.sleep(0.02)

    async def _spawn(self, name: str, *command: str) -> None:
        with open(self._file(f"{name}.log"), "ab") as log:  # noqa: ASYNC230  once, before anything is measured
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, preexec_fn=die_with_parent
            )

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", self.port, ssl=self.client_context(), server_hostname="127.0.0.1"
            )
        except OSError:
            return False
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return b" 200 " in answer[:20]


def die_with_parent() -> None:
    """A benchmark that is killed leaves nothing running. Called in the child before it becomes the program."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
