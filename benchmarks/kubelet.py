"""What the kubelet adds to containerd: `sudo python -m benchmarks.kubelet`.

A containerd and a kubelet in namespaces of their own, the API server in memory. Printed: what the bare runtime
needs for a pod, what the kubelet needs from the binding to Running, pods a second, and what idle pods cost.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.cluster import images
from kubarium.component_base.clock import RealClock
from kubarium.component_base.process import Process
from kubelet.kubelet import Kubelet
from kubelet.options import Options
from kubelet.runtime.cri import CRIRuntime
from kubelet.runtime.interface import ContainerRuntimeError

SINGLE, TOGETHER, IDLE_SECONDS = 10, 50, 20.0
CNI = """{"cniVersion": "0.4.0", "name": "bench", "plugins": [{"type": "bridge", "bridge": "cni0",
 "isDefaultGateway": true, "ipam": {"type": "host-local", "dataDir": "%s/ipam",
 "ranges": [[{"subnet": "10.244.97.0/24"}]]}}]}"""
INIT = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /etc/cni/net.d && mount -t tmpfs tmpfs /etc/cni/net.d && cp {folder}/cni.conflist /etc/cni/net.d/
ip link set lo up
containerd --config {folder}/config.toml > {folder}/containerd.log 2>&1 &
exec {python} -m benchmarks.kubelet {folder}
"""


def outside() -> None:
    """Prepare a folder and enter the namespaces; nothing is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    try:
        asyncio.run(prepare(folder))
        command = [
            "unshare",
            "--mount",
            "--net",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
        ]
        subprocess.run([*command, INIT.format(folder=folder, python=sys.executable)], check=True)
    finally:
        for place in Path("/sys/fs/cgroup").glob("*/kubelet-bench"):
            for directory, _, _ in os.walk(place, topdown=False):
                os.rmdir(directory)
        shutil.rmtree(folder, ignore_errors=True)


async def prepare(folder: Path) -> None:
    """Images, and the settings of containerd and its network."""
    await images.copy_root(await images.prepared_root(folder / "cache"), folder / "root")
    config = images.containerd_config(f"{folder}/root", f"{folder}/state", f"{folder}/c.sock")
    (folder / "config.toml").write_text(config)
    (folder / "cni.conflist").write_text(CNI % folder)


async def inside(folder: Path) -> None:
    """Measure."""
    runtime = CRIRuntime(f"unix://{folder}/c.sock")
    await until(runtime.version)
    print(f"bare runtime, one pod        {await bare(runtime, folder) * 1000:6.0f} ms (median of {SINGLE})")
    process, api = Process(), FakeAPI()
    options = Options(
        hostname_override="node-1",
        node_ip="192.0.2.1",
        root_dir=f"{folder}/kubelet",
        pod_logs_dir=f"{folder}/logs",
        cert_dir=f"{folder}/pki",
        cgroup_root="/kubelet-bench",
        healthz_port=0,
    )
    kubelet = Kubelet(options, api.client(), runtime, RealClock())
    kubelet.start(process)
    await until_true(lambda: bool(api.objects("v1", "nodes")))
    times = [await one(api, f"single-{number}") for number in range(SINGLE)]
    print(f"bound to Running, one pod    {statistics.median(times) * 1000:6.0f} ms (median of {SINGLE})")
    started, cpu = time.monotonic(), cpu_seconds()
    for number in range(TOGETHER):
        api.put(pod(f"many-{number}"))
    await until_true(lambda: all(is_running(one) for one in api.objects("v1", "pods")))
    took = time.monotonic() - started
    each = (cpu_seconds() - cpu) / TOGETHER * 1000
    print(f"pods at once                 {TOGETHER / took:6.1f} /s, {each:.0f} ms CPU each")
    await asyncio.sleep(5)
    started, cpu = time.monotonic(), cpu_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    share = (cpu_seconds() - cpu) / (time.monotonic() - started)
    print(f"idle with {TOGETHER + SINGLE} pods            {share * 100:6.2f} % of a core")
    print(f"memory (API included)        {resident() / 1024:6.0f} MiB")
    await kubelet.close()
    await process.close()


async def bare(runtime: CRIRuntime, folder: Path) -> float:
    """A sandbox and a container, without a kubelet."""
    times = []
    for number in range(SINGLE):
        uid = f"bare-{number}"
        linux = {"cgroup_parent": f"/kubelet-bench/{uid}"}
        metadata = {"name": uid, "namespace": "default", "uid": uid}
        sandbox = {"metadata": metadata, "hostname": uid, "log_directory": str(folder), "linux": linux}
        image = {"image": images.BUSYBOX_IMAGE}
        container = {"metadata": {"name": "main"}, "image": image, "command": ["sleep", "1000"]}
        started = time.monotonic()
        sandbox_id = await runtime.run_sandbox(sandbox)
        await runtime.start_container(await runtime.create_container(sandbox_id, container, sandbox))
        times.append(time.monotonic() - started)
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)
    return statistics.median(times)


async def one(api: FakeAPI, name: str) -> float:
    """Seconds from the binding of a pod until its status says Running."""
    started = time.monotonic()
    api.put(pod(name))
    await until_true(lambda: is_running(api.get("v1", "pods", "default", name)))
    return time.monotonic() - started


def pod(name: str) -> Object:
    container = {"name": "main", "image": images.BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"nodeName": "node-1", "containers": [{**container, "command": ["sleep", "1000"]}]},
        "status": {"phase": "Pending"},
    }


def is_running(found: Object) -> bool:
    return bool(found["status"].get("phase") == "Running")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def until(ask: Callable[[], Any]) -> None:
    for _ in range(200):
        try:
            await ask()
            return
        except ContainerRuntimeError:
            await asyncio.sleep(0.05)
    raise RuntimeError("containerd does not answer")


async def until_true(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so within {seconds} s")
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(inside(Path(sys.argv[1])))
    else:
        outside()
