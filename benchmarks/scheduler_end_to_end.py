"""The scheduler against a real API server and etcd: pods a second from pending to bound, and what it costs.

    python -m benchmarks.scheduler_end_to_end [--nodes 1000] [--pods 3000] [--binary kube-scheduler]
        [--api-server kube-apiserver] [--profile FILE]

Nodes are objects only: nothing runs on them. With `--binary`, another scheduler does the same work, for comparison,
with `--api-server` on another API server. How fast it was is what a watch of the bound pods shows, so that any version
can be measured; how long an attempt takes only those tell that have the metric.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop

from benchmarks.control_plane import ControlPlane, die_with_parent
from benchmarks.load import Target, call, request
from kubarium.apimachinery.errors import StatusError
from kubarium.client.kubeconfig import ClientConfig
from kubarium.client.rest import Client
from kubarium.component_base import certificates

PORT = 23100
SCHEDULER_PORT = 23110
LIMIT = 300.0  # seconds for all pods to be bound
PODS = "/api/v1/namespaces/default/pods"


def node(number: int) -> bytes:
    """A node of four cores."""
    labels = {"kubernetes.io/hostname": f"node-{number}", "topology.kubernetes.io/zone": f"zone-{number % 3}"}
    capacity = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    status = {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [{"type": "Ready", "status": "True"}],
    }
    body = {"metadata": {"name": f"node-{number}", "labels": labels}, "status": status}
    return json.dumps({"apiVersion": "v1", "kind": "Node"} | body).encode()


def pod(number: int) -> bytes:
    """scheduler_perf's default pod."""
    resources = {"requests": {"cpu": "100m", "memory": "500Mi"}}
    container = {"name": "pause", "image": "pause:3.10", "resources": resources}
    metadata = {"name": f"pod-{number}", "namespace": "default", "labels": {"app": "bench"}}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    ).encode()


class SchedulerProcess:
    """A scheduler under test."""

    def __init__(self, plane: ControlPlane, command: list[str]) -> None:
        self._plane, self._command = plane, command
        self._process: asyncio.subprocess.Process | None = None
        self._pages = Client(
            ClientConfig(
                server=f"https://127.0.0.1:{SCHEDULER_PORT}",
                cert_file=plane._file("admin.crt"),
                key_file=plane._file("admin.key"),
                insecure_skip_tls_verify=True,
            )
        )

    async def start(self) -> None:
        """Start it and wait until it is well."""
        kubeconfig = Path(self._plane._file("scheduler.kubeconfig"))
        certificates.write_kubeconfig(
            kubeconfig,
            server=f"https://127.0.0.1:{self._plane.port}",
            ca=Path(self._plane._file("ca.crt")),
            user="system:kube-scheduler",
            pair=(self._plane._file("scheduler.crt"), self._plane._file("scheduler.key")),
        )
        flags = [
            f"--kubeconfig={kubeconfig}", f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}", f"--client-ca-file={self._plane._file('ca.crt')}",
            f"--secure-port={SCHEDULER_PORT}", "--bind-address=127.0.0.1", "--leader-elect=false",
            "--kube-api-qps=5000", "--kube-api-burst=5000",  # the original would hold itself back
        ]  # fmt: skip
        with open(self._plane._file("scheduler.log"), "ab") as log:  # noqa: ASYNC230  once
            self._process = await asyncio.create_subprocess_exec(
                *self._command, *flags, stdout=log, stderr=log, preexec_fn=die_with_parent
            )
        while True:
            try:
                await self._get("/healthz")
                return
            except (OSError, StatusError):  # not there yet, or not ready yet
                if self._process.returncode is not None:
                    raise RuntimeError(f"no scheduler: see {self._plane.directory}/scheduler.log") from None
                await asyncio.sleep(0.05)

    async def attempt_quantiles(self) -> tuple[float, float] | None:
        """How long an attempt takes, decision and binding; from the buckets of its histogram, if it has one."""
        text = await self._get("/metrics")
        found = re.findall(
            r'^scheduler_scheduling_attempt_duration_seconds_bucket\{(?=.*result="scheduled")(?:.*,)?le="([^"]+)".*\} '
            r"([\d.e+]+)",
            text,
            re.M,
        )
        buckets = [(float(limit), float(number)) for limit, number in found]
        return (_quantile(buckets, 0.5), _quantile(buckets, 0.99)) if buckets else None

    async def _get(self, path: str) -> str:
        return str(await self._pages.request("GET", path))

    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Its resident memory."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    async def stop(self) -> None:
        """End it and wait."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._process.wait()
        await self._pages.close()


def _quantile(buckets: list[tuple[float, float]], share: float) -> float:
    """As Prometheus' `histogram_quantile`: within a bucket all values are equally likely."""
    wanted = share * buckets[-1][1]
    before, lower = 0.0, 0.0
    for upper, number in buckets:
        if number >= wanted:
            return lower + (upper - lower) * (wanted - before) / max(number - before, 1e-9)
        before, lower = number, upper
    return lower


async def fill(plane: ControlPlane, path: str, bodies: Iterator[bytes]) -> None:
    """Create objects over sixteen connections."""
    result = await call(
        Target(plane.port, str(plane.directory)), 16, (request("POST", path, body) for body in bodies)
    )
    if result["failures"]:
        raise RuntimeError(str(result["example"]))


class Bound(asyncio.Protocol):
    """A watch that counts the pods that have a node; it looks at no more of an event than its first bytes."""

    _MARK = b'{"type":"ADDED"'  # that is how a pod begins to match a selector

    def __init__(self) -> None:
        self.count, self._goal = 0, 0
        self._rest = b""
        self._reached = asyncio.Event()

    @classmethod
    async def follow(cls, plane: ControlPlane) -> Bound:
        """Begin to count."""
        _, counter = await asyncio.get_running_loop().create_connection(
            cls, "127.0.0.1", plane.port, ssl=plane.client_context(), server_hostname="127.0.0.1"
        )
        return counter

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(request("GET", f"{PODS}?watch=1&fieldSelector=spec.nodeName!%3D"))

    def data_received(self, data: bytes) -> None:
        seen = self._rest + data
        self.count += seen.count(self._MARK)
        self._rest = seen[-len(self._MARK) + 1 :]
        if self.count >= self._goal:
            self._reached.set()

    async def until(self, count: int) -> None:
        """Return when so many pods have a node. Raises TimeoutError."""
        self._goal = count
        while self.count < count:
            self._reached.clear()
            async with asyncio.timeout(LIMIT):
                await self._reached.wait()

    def close(self) -> None:
        """Count no more."""
        self._transport.close()


async def measure(nodes: int, pods: int, command: list[str], api_server: str = "") -> list[tuple[str, str]]:
    """Pods are created while the scheduler gives them nodes; how fast, and at what cost.

    `api_server` is another API server than ours.
    """
    # Nobody makes service accounts here, and nobody takes the not-ready taint off.
    async with ControlPlane(
        PORT, "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition", program=api_server
    ) as plane:
        await fill(plane, "/api/v1/nodes", (node(number) for number in range(nodes)))
        scheduler, bound = SchedulerProcess(plane, command), await Bound.follow(plane)
        try:
            await scheduler.start()
            await fill(plane, PODS, (pod(number) for number in range(100)))
            await bound.until(100)
            server, etcd = plane.cpu_seconds("apiserver"), plane.cpu_seconds("etcd")
            own = scheduler.cpu_seconds()
            begun = time.perf_counter()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fill(plane, PODS, (pod(number) for number in range(100, 100 + pods))))
                tasks.create_task(bound.until(100 + pods))
            seconds = time.perf_counter() - begun
            await asyncio.sleep(1)
            work = f"create and schedule, {nodes} nodes"
            own = 1e6 * (scheduler.cpu_seconds() - own) / pods
            server = 1e6 * (plane.cpu_seconds("apiserver") - server) / pods
            etcd = 1e6 * (plane.cpu_seconds("etcd") - etcd) / pods
            found = [(work, f"{pods / seconds:.0f} pods/s")]
            if quantiles := await scheduler.attempt_quantiles():
                p50, p99 = quantiles
                found.append((f"{work}: attempt", f"p50 {1e3 * p50:.1f} ms, p99 {1e3 * p99:.1f} ms"))
            return [
                *found,
                (f"{work}: scheduler", f"{scheduler.memory_mib():.0f} MiB, {own:.0f} us CPU a pod"),
                (f"{work}: API server, etcd", f"{server:.0f} us, {etcd:.0f} us CPU a pod"),
            ]
        finally:
            bound.close()
            await scheduler.stop()


def run(nodes: int, pods: int, command: list[str], api_server: str = "") -> list[tuple[str, str]]:
    """`measure`, on the loop that costs the least."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(measure(nodes, pods, command, api_server))


def main() -> None:
    """Read arguments and measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=3000)
    parser.add_argument("--binary", default="")
    parser.add_argument("--api-server", default="")
    parser.add_argument("--profile", default="", help="write a profile of the scheduler to this file")
    options = parser.parse_args()
    profile = ["-m", "cProfile", "-o", options.profile] if options.profile else []
    command = [options.binary] if options.binary else [sys.executable, *profile, "-m", "scheduler"]
    for work, result in run(options.nodes, options.pods, command, options.api_server):
        print(f"{work:50s} {result}")


if __name__ == "__main__":
    main()
