"""A real etcd and a real API server as child processes, for tests, benchmarks and experiments by hand.

python -m tests.integration.running /tmp/somewhere      runs until Ctrl-C and says where the kubeconfig is
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.component_base.certificates import Authority, service_account_key, write_kubeconfig

START_SECONDS = 120.0  # only what hangs takes so long; who ends at once is noticed at once
STOP_SECONDS = 60.0
ADMIN = ("kubernetes-admin", ("system:masters",))
PORTS = range(15000, 30000)  # none of the NodePorts
_DIRECTLY = urllib.request.ProxyHandler({})
_given: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on right now, that nobody else is given, and that no connection gets by chance.

    From outside the range in which the kernel chooses: else somebody who asks again and again whether the port answers
    could be connected to himself.
    """
    chance = random.SystemRandom()  # others may have set the seed of the common one
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outside = [port for port in PORTS if not low <= port <= high] or list(PORTS)
    while True:
        port = chance.choice(outside)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


class Child:
    """A process that this process started and will stop."""

    def __init__(self, command: Sequence[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int:
        """Ask it to end, insist after a while."""
        if self.alive:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def kill(self) -> None:
        """Power off."""
        self._process.kill()
        self._process.wait()


class Etcd:
    """One etcd member on free ports; `kill` and `start` it as often as you like, the data stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._peer_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.child: Child | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        peer = f"http://127.0.0.1:{self._peer_port}"
        command = [
            "etcd", "--data-dir", str(self.folder / "data"), "--listen-client-urls", self.url,
            "--advertise-client-urls", self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"default={peer}", "--logger", "zap",
        ]  # fmt: skip
        self.child = Child(command, self.folder / "etcd.log", {"ETCD_UNSUPPORTED_ARCH": ""})
        _wait_for(self.url + "/health", self.child)

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()

    kill = stop


@dataclass
class Credentials:
    """Authorities and keys of a test cluster."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca = Authority.create("kubernetes")
        self.front_proxy_ca = Authority.create("front-proxy")
        (self.folder / "ca.crt").write_bytes(self.ca.cert_pem)
        (self.folder / "front-proxy-ca.crt").write_bytes(self.front_proxy_ca.cert_pem)
        names = [
            "127.0.0.1",
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "10.96.0.1",
        ]
        self._put(self.ca.server("kube-apiserver", names), "apiserver")
        kubelet_client = self.ca.client("kube-apiserver-kubelet-client", ["system:masters"])
        self._put(kubelet_client, "kubelet-client")
        self._put(self.front_proxy_ca.client("front-proxy-client"), "front-proxy-client")
        self._put(service_account_key(), "sa")

    def _put(self, pair: object, name: str) -> None:
        pair.write(self.path(f"{name}.crt"), self.path(f"{name}.key"))  # type: ignore[attr-defined]

    def path(self, name: str) -> str:
        """A file of ours."""
        return str(self.folder / name)


class ApiServer:
    """`python -m apiserver` on a free port with TLS and RBAC."""

    def __init__(self, folder: Path, etcd: str, credentials: Credentials | None = None, *flags: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.credentials = credentials or Credentials(folder / "pki")
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._etcd = etcd
        self._flags = flags
        self.child: Child | None = None

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.child = Child([sys.executable, "-m", "apiserver", *self.flags()], self.folder / "apiserver.log")
        _wait_for(self.url + "/readyz", self.child, self.credentials.ca.cert_pem.decode())

    def flags(self) -> list[str]:
        """The command line."""
        path = self.credentials.path
        return [
            f"--etcd-servers={self._etcd}", f"--secure-port={self.port}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--tls-cert-file={path('apiserver.crt')}", f"--tls-private-key-file={path('apiserver.key')}",
            f"--client-ca-file={path('ca.crt')}",
            f"--service-account-signing-key-file={path('sa.key')}", f"--service-account-key-file={path('sa.crt')}",
            f"--kubelet-client-certificate={path('kubelet-client.crt')}",
            f"--kubelet-client-key={path('kubelet-client.key')}",
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            f"--requestheader-client-ca-file={path('front-proxy-ca.crt')}",
            "--requestheader-allowed-names=front-proxy-client",
            f"--proxy-client-cert-file={path('front-proxy-client.crt')}",
            f"--proxy-client-key-file={path('front-proxy-client.key')}",
            *self._flags,
        ]  # fmt: skip

    def stop(self) -> int:
        return self.child.stop() if self.child is not None else 0

    def kill(self) -> None:
        if self.child is not None:
            self.child.kill()

    def config(self, user: str = ADMIN[0], groups: Sequence[str] = ADMIN[1]) -> ClientConfig:
        """How to connect as a user with a client certificate."""
        pair = self.credentials.ca.client(user, list(groups))
        ca = self.credentials.ca.cert_pem
        return ClientConfig(self.url, ca_data=ca, cert_data=pair.cert_pem, key_data=pair.key_pem)

    def client(self, user: str = ADMIN[0], groups: Sequence[str] = ADMIN[1]) -> Client:
        """A client with a user's certificate."""
        return Client(self.config(user, groups), user_agent="kubarium-tests")

    def kubeconfig(self, user: str = ADMIN[0], groups: Sequence[str] = ADMIN[1]) -> Path:
        """A kubeconfig file for a user."""
        path = self.folder / f"{user.replace(':', '-')}.kubeconfig"
        pair = self.credentials.ca.client(user, list(groups))
        write_kubeconfig(path, server=self.url, ca=self.credentials.ca.cert_pem, user=user, pair=pair)
        return path


def _wait_for(url: str, child: Child, authority: str = "") -> None:
    context = ssl.create_default_context(cadata=authority) if authority else None
    opener = urllib.request.build_opener(_DIRECTLY, urllib.request.HTTPSHandler(context=context))
    deadline = time.monotonic() + START_SECONDS
    problem: object = None
    while time.monotonic() < deadline and child.alive:
        try:
            with opener.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except urllib.error.HTTPError as error:
            problem = error.code
            error.close()
        except (urllib.error.URLError, OSError) as error:
            problem = error
        time.sleep(0.02)
    text = child.log.read_text()[-4000:]
    child.kill()
    raise RuntimeError(f"{url} does not answer ({problem}); the log ends:\n{text}")


def kubectls() -> list[str]:
    """Every kubectl on PATH (`kubectl`, `kubectl.1.29` …), or those named in `$KUBECTLS`, separated by colons."""
    if named := os.environ.get("KUBECTLS"):
        return named.split(":")
    found = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for path in Path(folder).glob("kubectl*") if folder else ():
            if shutil.which(str(path)) and path.name.removeprefix("kubectl").lstrip(".-").replace(
                ".", ""
            ).isdigit() | (path.name == "kubectl"):
                found.setdefault(path.name, str(path))
    return [found[name] for name in sorted(found)]


def main() -> None:
    """Run both until interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(sys.argv[1])
    etcd = Etcd(folder / "etcd")
    etcd.start()
    server = ApiServer(folder, etcd.url)
    try:
        server.start()
        sys.stdout.write(
            f"export KUBECONFIG={server.kubeconfig()}\netcd {etcd.url}, pid {server.child.pid}\n"
        )  # type: ignore[union-attr]
        sys.stdout.flush()
        while server.child is not None and server.child.alive:
            time.sleep(1)
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        etcd.stop()


__all__ = ["ApiServer", "Child", "Credentials", "Etcd", "free_port", "kubectls"]

if __name__ == "__main__":
    main()
