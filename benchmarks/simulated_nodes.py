"""A whole cluster of simulated nodes: how soon they are Ready, how fast pods come and go, what each program costs.

    python -m benchmarks simulated [--nodes 1000] [--pods 5000]

The shape is that of KWOK's own gate, made harder: the pods pass through the scheduler and are spread over all nodes
(KWOK's gate binds all of them to one node by name, without a scheduler).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import Object, name_of
from kubarium.apimachinery.watch import BOOKMARK, DELETED
from kubarium.client.rest import Client
from kubarium.cluster import launcher, processes, waiting
from kubarium.cluster.progress import Progress
from kubarium.cluster.state import Cluster

CLIENTS = 16
LIMIT = 600.0  # seconds after which a step counts as failed
NAMESPACE = "default"


class Count:
    """How many objects of a kind are there, and how many of them are as they should be."""

    def __init__(self, client: Client, plural: str, is_good: Callable[[Object], bool]) -> None:
        self._resource = client.resource("v1", plural)
        self._is_good = is_good
        self.present: set[str] = set()
        self.good: set[str] = set()
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        """Watch for ever."""
        namespace = NAMESPACE if self._resource.plural == "pods" else ""
        while True:
            found = await self._resource.list(namespace)
            self.present, self.good = set(), set()
            for item in found["items"]:
                self._see(item)
            version = found["metadata"]["resourceVersion"]
            try:
                async for event in self._resource.watch(namespace, resource_version=version):
                    if event.type == DELETED:
                        self.present.discard(name_of(event.obj))
                        self.good.discard(name_of(event.obj))
                    elif event.type != BOOKMARK:
                        self._see(event.obj)
                    self._changed.set()
            except (ConnectionError, TimeoutError):
                continue

    async def until(self, done: Callable[[Count], bool]) -> None:
        """Return when it is so. Raises TimeoutError."""
        async with asyncio.timeout(LIMIT):
            while not done(self):
                self._changed.clear()
                await self._changed.wait()

    def _see(self, obj: Object) -> None:
        self.present.add(name_of(obj))
        (self.good.add if self._is_good(obj) else self.good.discard)(name_of(obj))
        self._changed.set()


@asynccontextmanager
async def following(client: Client, plural: str, is_good: Callable[[Object], bool]) -> AsyncIterator[Count]:
    """A count that is kept while the block lasts."""
    count = Count(client, plural, is_good)
    task = asyncio.get_running_loop().create_task(count.follow())
    try:
        yield count
    finally:
        task.cancel()
        await asyncio.wait([task])


def pod(number: int) -> Object:
    """A pod of a tenth of a core."""
    resources = {"requests": {"cpu": "100m", "memory": "100Mi"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{number}", "namespace": NAMESPACE, "labels": {"app": "bench"}},
        "spec": {"containers": [{"name": "pause", "image": "pause:3.10", "resources": resources}]},
    }


async def in_parallel(count: int, work: Callable[[int], Awaitable[object]]) -> None:
    """Sixteen at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await work(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(CLIENTS):
            tasks.create_task(worker())


class Costs:
    """Memory and processor time of the cluster's programs."""

    def __init__(self, cluster: Cluster) -> None:
        self._pids = {report.name: report.pid for report in processes.reports(cluster) if report.pid}
        self._before = self._cpu()

    def _cpu(self) -> dict[str, float]:
        found = {}
        for name, pid in self._pids.items():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return found

    def show(self, title: str) -> None:
        """A line for each program: memory now, processor time since the last time."""
        now = self._cpu()
        print(title)
        for name, pid in self._pids.items():
            spent = now[name] - self._before[name]
            print(f"    {name:28s} {processes.memory(pid) / 2**20:6.0f} MiB  {spent:6.1f} s CPU", flush=True)
        self._before = now


async def measure(nodes: int, pods: int, idle: float) -> None:
    """Bring it up, fill it, empty it, take it down."""
    with tempfile.TemporaryDirectory(prefix="kubarium-bench-") as folder:
        cluster = launcher.create(Path(folder), "bench", 0, simulated=nodes)
        began = time.perf_counter()
        cluster = await launcher.start(cluster, Progress())
        try:
            await waiting.wait_ready(cluster, Progress(), LIMIT)
            print(
                f"{nodes} nodes Ready {time.perf_counter() - began:.1f} s after the start of an empty cluster"
            )
            async with waiting.admin_client(cluster) as client:
                await _fill_and_empty(cluster, client, pods, idle)
        finally:
            await launcher.stop(cluster, Progress())


async def _fill_and_empty(cluster: Cluster, client: Client, count: int, idle: float) -> None:
    costs = Costs(cluster)
    async with following(client, "nodes", lambda node: not (node["spec"].get("taints"))) as nodes:
        await nodes.until(lambda seen: len(seen.good) >= cluster.simulated)
    await _wait_for_account(client)
    costs.show("with all nodes Ready:")
    if idle:
        await asyncio.sleep(idle)
        costs.show(f"after {idle:.0f} idle seconds:")
    resource = client.resource("v1", "pods")
    async with following(client, "pods", pod_status.is_ready) as pods:
        began = time.perf_counter()
        await in_parallel(count, lambda number: resource.create(pod(number)))
        created = time.perf_counter() - began
        await pods.until(lambda seen: len(seen.good) >= count)
        seconds = time.perf_counter() - began
        print(f"{count} pods created in {created:.1f} s, all Running and Ready after {seconds:.1f} s")
        costs.show(f"that is {count / seconds:.0f} pods/s; with them:")
        began = time.perf_counter()
        await in_parallel(
            count, lambda number: resource.delete(f"pod-{number}", NAMESPACE, grace_period_seconds=1)
        )
        await pods.until(lambda seen: not seen.present)
        seconds = time.perf_counter() - began
        print(f"{count} pods deleted after {seconds:.1f} s")
        costs.show(f"that is {count / seconds:.0f} pods/s; without them:")


async def _wait_for_account(client: Client) -> None:
    accounts = client.resource("v1", "serviceaccounts")
    while not (await accounts.list(NAMESPACE))["items"]:  # noqa: ASYNC110  another process makes it
        await asyncio.sleep(0.1)


def main(arguments: list[str]) -> None:
    """Read arguments and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks simulated")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument(
        "--idle", type=float, default=0.0, help="seconds of doing nothing, to see what that costs"
    )
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.nodes, options.pods, options.idle))
