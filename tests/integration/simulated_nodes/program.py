"""Simulated nodes as their own process."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.running import ApiServer, Child, free_port


class SimulatedNodes:
    """`python -m kubelet.simulated`; stop it and start it with another number of nodes."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server, self._folder = server, folder
        pair = server.credentials.ca.server("simulated", ["127.0.0.1"])
        pair.write(folder / "server.crt", folder / "server.key")
        self._port = free_port()
        self._child: Child | None = None
        self.count = 0

    def start(self, count: int) -> None:
        self.count = count
        command = [
            sys.executable, "-m", "kubelet.simulated", f"--kubeconfig={self._server.kubeconfig()}",
            f"--count={count}", "--prefix=sim-", f"--port={self._port}", "--zones=2",
            f"--tls-cert-file={self._folder}/server.crt", f"--tls-private-key-file={self._folder}/server.key",
            f"--client-ca-file={self._server.credentials.path('ca.crt')}",
        ]  # fmt: skip
        self._child = Child(command, self._folder / "simulated.log")

    def stop(self) -> None:
        assert self._child is not None
        code, log = self._child.stop(), self._child.log.read_text()
        assert code == 0 and "Traceback" not in log, log[-4000:]
