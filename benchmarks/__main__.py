"""`python -m benchmarks [work...]`: print the figures of this machine, as a table and as one line of JSON.

Without words: a whole cluster, then the API server, alone and with many objects. `cluster` measures the cluster alone,
`sizes` the API server with 1,000, 10,000 and 50,000 pods, the names of its works (`get`, `list`, `watch` …) only these,
`scheduler` the scheduler, its decisions alone and with an API server, `simulated` a cluster of simulated nodes.
Where `kube-apiserver` or `kube-scheduler` are on PATH, they do the same work afterwards, the
scheduler on the other API server if both are there.
"""

from __future__ import annotations

import asyncio
import compileall
import json
import shutil
import sys
from pathlib import Path

from benchmarks import api_server, cluster, scheduler_decision, scheduler_end_to_end, simulated_nodes, sizes
from benchmarks.scheduler_shapes import SHAPES

PORT = 25300
PACKAGES = ("apiserver", "scheduler", "controller_manager", "kubelet", "kube_proxy", "addons", "kubarium")


def main(words: list[str]) -> None:
    """Measure and print."""
    for package in PACKAGES:  # as an installed program has it
        compileall.compile_dir(package, quiet=2)
    found: list[tuple[str, str]] = []
    if not words or "cluster" in words:
        found += cluster.measure()
        for work, result in found:
            print(f"{work:45s} {result}", flush=True)
    if not words or "scheduler" in words:
        found += scheduler_decision.measure_all(scheduler_decision.SIZES, 1000, list(SHAPES))
        for nodes in scheduler_decision.SIZES:
            command = [sys.executable, "-m", "scheduler"]
            found += scheduler_end_to_end.run(nodes, 3000, command)
            if original := shutil.which("kube-scheduler"):
                server = shutil.which("kube-apiserver") or ""
                found += _of(original, scheduler_end_to_end.run(nodes, 3000, [original], server))
    if not words or not {"cluster", "scheduler", "sizes"}.issuperset(words):
        found += asyncio.run(api_server.measure(PORT, tuple(words)))
        if original := shutil.which("kube-apiserver"):
            print(f"the same of {original}:", flush=True)
            found += _of(original, asyncio.run(api_server.measure(PORT, tuple(words), program=original)))
    if not words or "sizes" in words:
        found += asyncio.run(sizes.measure(PORT))
    print()
    for work, result in found:
        print(f"{work:45s} {result}")
    print(json.dumps(dict(found)))


def _of(program: str, found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Figures of somebody else's program."""
    return [(f"{Path(program).name}: {work}", result) for work, result in found]


if __name__ == "__main__":
    if sys.argv[1:2] == ["simulated"]:
        simulated_nodes.main(sys.argv[2:])
    else:
        main(sys.argv[1:])
