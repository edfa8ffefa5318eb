"""A whole cluster: how soon it is there, what it weighs, how soon a pod runs in it. Needs root."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import load
from kubarium.apimachinery import names
from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.cluster import processes, state

NAME, NODES, PODS = "bench", 3, 10
SETTLE_SECONDS = 60.0  # until add-ons run and first lists are done
WAITING_PODS, CLIENTS = 3000, 16  # pods that no node is good for: work for every part but the nodes
IDLE_SECONDS = 60.0
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def measure() -> list[tuple[str, str]]:
    """Every figure as (work, result). The first start packs images; the second is what users see."""
    if os.geteuid() != 0:
        return [("a cluster", "needs root")]
    with tempfile.TemporaryDirectory(prefix="kubarium-bench-") as home:
        environment = {**os.environ, "KUBARIUM_HOME": home}
        try:
            _kubarium(environment, "up", "--nodes", str(NODES))
            _kubarium(environment, "down", "--wipe")
            started = time.monotonic()
            _kubarium(environment, "up", "--nodes", str(NODES))
            seconds = time.monotonic() - started
            found = [(f"{NODES} nodes, from nothing to all Ready", f"{seconds:.1f} s")]
            cluster = state.load(Path(home), NAME)
            assert cluster is not None
            found += asyncio.run(_pods(str(cluster.admin_conf)))
            time.sleep(SETTLE_SECONDS)
            everything = sum(processes.memory(pid) for pid in processes.marked(cluster))
            found.append((f"idle memory of everything, {NODES} nodes", f"{everything / 2**20:.0f} MiB"))
            asyncio.run(_work(str(cluster.admin_conf)))
            return [*found, (f"control plane idle beside {WAITING_PODS} pods that wait", _idle(cluster))]
        finally:
            _kubarium(environment, "down", "--wipe")


def _kubarium(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "kubarium.cluster", words[0], "--name", NAME, *words[1:]]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


async def _pods(path: str) -> list[tuple[str, str]]:
    """Create pods one after the other; the time until each is Running as a watcher sees it."""
    async with Client(kubeconfig.load(path), user_agent="bench") as client:
        await _account(client)
        seconds = [await _pod(client) for _ in range(PODS)]
    text = f"{statistics.median(seconds) * 1000:.0f} ms (median of {PODS})"
    return [("a pod, from create to Running", text)]


async def _work(path: str) -> None:
    """Create many pods that no node is good for; return when the scheduler has said so of each."""
    async with Client(kubeconfig.load(path), user_agent="bench") as client:
        pods, numbers = client.resource("v1", "pods"), iter(range(WAITING_PODS))

        async def create() -> None:
            for number in numbers:
                spec = {
                    "nodeSelector": {"nobody": "has"},
                    "containers": [{"name": "main", "image": "busybox"}],
                }
                await pods.create(
                    {
                        "apiVersion": "v1",
                        "kind": "Pod",
                        "metadata": {"name": f"waits-{number}", "namespace": "default"},
                        "spec": spec,
                    }
                )

        await asyncio.gather(*(create() for _ in range(CLIENTS)))
        told: set[str] = set()
        async for event in pods.watch("default"):
            if (event.obj.get("status") or {}).get("conditions"):
                told.add(event.obj["metadata"]["name"])
            if len(told) == WAITING_PODS:
                return


def _idle(cluster: state.Cluster) -> str:
    """What the programs of the control plane weigh, and use while nobody asks for anything."""
    time.sleep(SETTLE_SECONDS)
    found = [processes.report_of(cluster, name) for name in CONTROL_PLANE]
    pids = [report.pid for report in found if report is not None and report.pid is not None]
    used = sum(map(load.cpu_seconds, pids))
    time.sleep(IDLE_SECONDS)
    share = (sum(map(load.cpu_seconds, pids)) - used) / IDLE_SECONDS
    memory = sum(map(processes.memory, pids))
    return f"{memory / 2**20:.0f} MiB, {100 * share:.1f} % of a core ({len(pids)} programs)"


async def _account(client: Client) -> None:
    """Wait for the service account that pods need."""
    accounts = client.resource("v1", "serviceaccounts")
    async for event in accounts.watch("default", field_selector="metadata.name=default"):
        if event.type in ("ADDED", "MODIFIED"):
            return


async def _pod(client: Client) -> float:
    pods = client.resource("v1", "pods")
    name = names.generate_name("bench-")
    container = {
        "name": "main",
        "image": "busybox",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "1000"],
    }
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    started = time.monotonic()
    created = await pods.create(pod)
    revision = created["metadata"]["resourceVersion"]
    events = pods.watch("default", field_selector=f"metadata.name={name}", resource_version=revision)
    async for event in events:
        if event.obj.get("status", {}).get("phase") == "Running":
            break
    seconds = time.monotonic() - started
    await pods.delete(name, "default")
    return seconds
