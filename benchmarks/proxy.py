"""How fast kube-proxy tells the kernel of this machine: a full sync, and the change of one Service.

    python -m benchmarks.proxy [--services 1000] [--endpoints 2] [backend...]

Needs root: the rules are written into a network namespace of their own, which is removed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable

from kube_proxy.app import BACKENDS
from kube_proxy.backends.backend import Settings
from kube_proxy.endpoints import Endpoint
from kube_proxy.local_traffic import LocalTraffic
from kube_proxy.ruleset import Ruleset, build_ruleset
from kube_proxy.services import PortName, ServicePort
from kube_proxy.topology import NodeView

CHANGES = 5
NAMESPACE = f"kubarium-bench-{os.getpid()}"


def ruleset(services: int, endpoints: int, moved: int = -1) -> Ruleset:
    """So many Services; the pods of one of them are elsewhere."""
    ports, places = [], {}
    for number in range(services):
        name = PortName("default", f"service-{number}", "http", "TCP")
        ports.append(ServicePort(name, f"10.100.{number // 250}.{number % 250 + 1}", 80))
        network = 16 if number == moved else 0
        places[name] = [
            Endpoint(f"10.244.{network + each}.{number % 250 + 1}", 1024 + number, f"node-{each}")
            for each in range(endpoints)
        ]
    return build_ruleset(ports, places, NodeView("node-1"))


async def measure(mode: str, services: int, endpoints: int) -> None:
    """Print the times of one backend."""
    backend = BACKENDS[mode](Settings(LocalTraffic("10.244.0.0/16"), 0x4000))
    await backend.prepare()
    full = await _timed(backend.apply(ruleset(services, endpoints), full=True))
    again = await _timed(backend.apply(ruleset(services, endpoints), full=True))
    changes = [await _timed(backend.apply(ruleset(services, endpoints, each))) for each in range(CHANGES)]
    change = sorted(changes)[CHANGES // 2]
    shape = f"{services} services x {endpoints} endpoints"
    print(f"{mode + ', ' + shape:45s} full {full:.0f} ms, again {again:.0f} ms, one change {change:.0f} ms")


async def _timed(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """Measure in a namespace made for this: the rules of the machine stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=1000)
    parser.add_argument("--endpoints", type=int, default=2)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("backends", nargs="*", default=list(BACKENDS))
    options = parser.parse_args()
    if options.inside:
        for mode in options.backends:
            asyncio.run(measure(mode, options.services, options.endpoints))
        return
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    try:
        words = [
            "nsenter",
            f"--net=/run/netns/{NAMESPACE}",
            sys.executable,
            "-m",
            "benchmarks.proxy",
            "--inside",
        ]
        subprocess.run([*words, *sys.argv[1:]], check=True)
    finally:
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=True)


if __name__ == "__main__":
    main()
