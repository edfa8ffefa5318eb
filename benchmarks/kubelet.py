"""What the kubelet adds to containerd: `sudo python -m benchmarks.kubelet`.

Two containerds in namespaces of their own: one has a kubelet, with the API server in memory, the other gets the same
requests without one (`bare_runtime.py`), in turns. Printed: how long one pod takes and how many start in a second, with
and without the kubelet, and what idle pods cost. The kubelet's side is everything from a bound pod to its status
Running in the API: a volume with a token, cgroups, events, statuses, and what the API server in memory does itself.
"""

from __future__ import annotations

import asyncio
import compileall
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.bare_runtime import BareRuntime, OverheardRuntime
from kubarium.apimachinery.object import Object
from kubarium.client.fake import FakeAPI
from kubarium.cluster import images
from kubarium.component_base.clock import RealClock
from kubarium.component_base.process import Process
from kubelet.kubelet import Kubelet
from kubelet.options import Options
from kubelet.runtime.cri import CRIRuntime
from kubelet.runtime.interface import ContainerRuntimeError
from kubelet.runtime.manager import PARALLEL_STARTS

SINGLE, ROUNDS, TOGETHER, IDLE_SECONDS = 10, 2, 20, 20.0
CGROUP = "/kubelet-bench"
SAMPLE = "the-sample"  # the pod whose requests are asked again
CNI = """{"cniVersion": "0.4.0", "name": "bench", "plugins": [{"type": "bridge", "bridge": "cni0",
 "isDefaultGateway": true, "ipam": {"type": "host-local", "dataDir": "%s/ipam",
 "ranges": [[{"subnet": "10.244.97.0/24"}]]}}]}"""
INIT = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /etc/cni/net.d && mount -t tmpfs tmpfs /etc/cni/net.d && cp {folder}/cni.conflist /etc/cni/net.d/
ip link set lo up
containerd --config {folder}/kubelet.toml > {folder}/kubelet.log 2>&1 &
containerd --config {folder}/bare.toml > {folder}/bare.log 2>&1 &
exec {python} -m benchmarks.kubelet {folder}
"""


def outside() -> None:
    """Prepare a folder and enter the namespaces; nothing is left afterwards."""
    for package in ("kubelet", "kubarium"):  # as an installed program has it
        compileall.compile_dir(package, quiet=2)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="/tmp"))
    namespaces = ["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    try:
        asyncio.run(prepare(folder))
        script = INIT.format(folder=folder, python=sys.executable)
        subprocess.run(["unshare", *namespaces, "sh", "-c", script], check=True)
    finally:
        for place in Path("/sys/fs/cgroup").glob(f"*{CGROUP}"):
            for directory, _, _ in os.walk(place, topdown=False):
                os.rmdir(directory)
        shutil.rmtree(folder, ignore_errors=True)


async def prepare(folder: Path) -> None:
    """Images, and the settings of both containerds and their network."""
    prepared = await images.prepared_root(folder / "cache")
    for name in ("kubelet", "bare"):
        await images.copy_root(prepared, folder / f"{name}-root")
        places = (f"{folder}/{name}-{what}" for what in ("root", "state", "sock"))
        (folder / f"{name}.toml").write_text(images.containerd_config(*places))
    (folder / "cni.conflist").write_text(CNI % folder)


async def inside(folder: Path) -> None:
    """Measure."""
    runtime, alone = (
        OverheardRuntime(f"unix://{folder}/kubelet-sock"),
        CRIRuntime(f"unix://{folder}/bare-sock"),
    )
    for one in (runtime, alone):
        await until_it_answers(one.version)
    process, api = Process(), FakeAPI(ACCOUNT, ROOT_CERTIFICATE)
    kubelet = Kubelet(options(folder), api.client(), runtime, RealClock())
    kubelet.start(process)
    await until(lambda: bool(api.objects("v1", "nodes")))
    await run_pods(api, [SAMPLE])
    elsewhere = {f"{folder}/kubelet": f"{folder}/bare", f"{CGROUP}/kubelet": f"{CGROUP}/bare"}
    bare = BareRuntime(alone, runtime, SAMPLE, elsewhere)
    await run_bare(bare, ["bare-warm"])

    times: dict[str, list[float]] = {"bare": [], "kubelet": []}
    for number in range(SINGLE):
        times["bare"].append(await run_bare(bare, [f"bare-single-{number}"]))
        times["kubelet"].append(await run_pods(api, [f"single-{number}"]))
    without, with_kubelet = (statistics.median(times[key]) * 1000 for key in ("bare", "kubelet"))
    show("one pod, containerd alone", f"{without:6.0f} ms (median of {SINGLE})")
    added = f"{with_kubelet - without:+.0f} ms"
    show("one pod, bound to Running", f"{with_kubelet:6.0f} ms (median of {SINGLE}), {added}")

    seconds, cpu = {"bare": 0.0, "kubelet": 0.0}, 0.0
    for turn in range(ROUNDS):
        seconds["bare"] += await run_bare(bare, [f"bare-many-{turn}-{n}" for n in range(TOGETHER)])
        before = cpu_seconds()
        seconds["kubelet"] += await run_pods(api, [f"many-{turn}-{n}" for n in range(TOGETHER)])
        cpu += cpu_seconds() - before
    count = ROUNDS * TOGETHER
    show("many pods, containerd alone", f"{count / seconds['bare']:6.1f} /s, {PARALLEL_STARTS} at a time")
    share = (seconds["kubelet"] / seconds["bare"] - 1) * 100
    each = f"{cpu / count * 1000:.0f} ms CPU each"
    show("many pods, with the kubelet", f"{count / seconds['kubelet']:6.1f} /s, {each}, {share:+.0f} % time")

    await asyncio.sleep(5)
    started, before = time.monotonic(), cpu_seconds()
    await asyncio.sleep(IDLE_SECONDS)
    share = (cpu_seconds() - before) / (time.monotonic() - started) * 100
    pods = len(api.objects("v1", "pods"))
    show(f"idle kubelet with {pods} pods", f"{share:6.2f} % of a core")
    show("its memory (API included)", f"{resident() / 1024:6.0f} MiB")
    await kubelet.close()
    await process.close()


def options(folder: Path) -> Options:
    return Options(
        hostname_override="node-1",
        node_ip="192.0.2.1",
        root_dir=f"{folder}/kubelet",
        pod_logs_dir=f"{folder}/kubelet/logs",
        cert_dir=f"{folder}/kubelet/pki",
        cgroup_root=f"{CGROUP}/kubelet",
        healthz_port=0,
    )


async def run_bare(bare: BareRuntime, names: list[str]) -> float:
    """Seconds that these pods take without a kubelet."""
    requests = bare.prepare(names)
    started = time.monotonic()
    await bare.start(requests)
    return time.monotonic() - started


async def run_pods(api: FakeAPI, names: list[str]) -> float:
    """Seconds from the binding of these pods until the status of each says Running."""
    started = time.monotonic()
    for name in names:
        api.put(pod(name))
    waiting = list(names)

    def all_run() -> bool:
        while waiting and is_running(api.get("v1", "pods", "default", waiting[-1])):
            waiting.pop()
        return not waiting

    await until(all_run, look_every=0.005 if len(names) == 1 else 0.02)
    return time.monotonic() - started


ACCOUNT: Object = {
    "apiVersion": "v1",
    "kind": "ServiceAccount",
    "metadata": {"name": "default", "namespace": "default"},
}
ROOT_CERTIFICATE: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kube-root-ca.crt", "namespace": "default"},
    "data": {"ca.crt": "a certificate"},
}


def pod(name: str) -> Object:
    """A pod as the API server hands it on: with the volume that every pod has."""
    certificate = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": certificate},
        {"downwardAPI": {"items": [namespace]}},
    ]
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    container = {
        "name": "main",
        "image": images.BUSYBOX_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "1000"],
        "volumeMounts": [{"name": "kube-api-access", "mountPath": place, "readOnly": True}],
    }
    volume = {"name": "kube-api-access", "projected": {"sources": sources, "defaultMode": 420}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"nodeName": "node-1", "containers": [container], "volumes": [volume]},
        "status": {"phase": "Pending"},
    }


def is_running(found: Object) -> bool:
    return bool(found["status"].get("phase") == "Running")


def show(what: str, figure: str) -> None:
    print(f"{what:30s} {figure}", flush=True)


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident() -> int:
    """KiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


async def until_it_answers(ask: Callable[[], Awaitable[Any]]) -> None:
    for _ in range(200):
        try:
            await ask()
            return
        except ContainerRuntimeError:
            await asyncio.sleep(0.05)
    raise RuntimeError("containerd does not answer")


async def until(is_so: Callable[[], bool], seconds: float = 60.0, look_every: float = 0.005) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so within {seconds} s")
        await asyncio.sleep(look_every)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(inside(Path(sys.argv[1])))
    else:
        outside()
