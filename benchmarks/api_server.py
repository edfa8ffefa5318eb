"""What the API server does in a second, and what it costs."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from benchmarks.control_plane import ControlPlane

PODS = 3000


async def generate(plane: ControlPlane, sort: str, **order: Any) -> dict[str, Any]:
    """Let the load generator carry out an order; adds what it cost the server."""
    cpu = plane.cpu_seconds("apiserver")
    where = {"port": plane.port, "directory": str(plane.directory), "server": plane.pid("apiserver")}
    found = await _order({"sort": sort, "objects": PODS} | order | where)
    spent = plane.cpu_seconds("apiserver") - cpu
    return {"cpu_us": 1e6 * spent / max(1, found.get("count", 0))} | found


async def _order(order: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await process.communicate(json.dumps(order).encode() + b"\n")
    found: dict[str, Any] = json.loads(answer)
    return found


async def measure(
    port: int, only: tuple[str, ...] = (), *flags: str, program: str = ""
) -> list[tuple[str, str]]:
    """Every figure as (work, result), in the order in which a cluster lives; of ours, or of another program."""
    found: list[tuple[str, str]] = []
    async with ControlPlane(port, *flags, program=program) as plane:
        found.append(("start to /readyz on an empty etcd", f"{plane.start_seconds:.2f} s"))

        async def rate(title: str, sort: str, **order: Any) -> None:
            if only and sort not in only and sort != "create":
                return
            result = await generate(plane, sort, **order)
            found.append((title, _shown(result, sort == "watch")))
            print(f"{title:45s} {found[-1][1]}", flush=True)

        await generate(plane, "service_account", clients=1, count=1)
        await rate("create pods, 16 clients", "create", clients=16, count=PODS)
        found.append((f"memory after {PODS} pods", f"{plane.memory_mib('apiserver'):.0f} MiB"))
        await rate("get a pod, 16 clients", "get", clients=16, count=20000)
        await rate(f"list {PODS} pods, 2 clients", "list", clients=2, count=200, path="/api/v1/pods")
        await rate(
            "list with limit=500, 2 clients", "list", clients=2, count=1000, path="/api/v1/pods?limit=500"
        )
        await rate("merge patch, 16 clients", "merge_patch", clients=16, count=PODS)
        await rate("status patch, 16 clients", "status_patch", clients=16, count=PODS)
        for watchers, changes in ((200, 20), (1000, 5)):
            title = f"{watchers} watchers, {changes} changes/s"
            await rate(title, "watch", watchers=watchers, rate=changes, seconds=10)
            if not program and (not only or "watch" in only):
                result = await _bare_fan_out(plane, port + 5, watchers, changes)
                found.append(
                    (f"{watchers} watchers of a bare loop of TLS writes", _shown(result, of_watch=True))
                )
                print(f"{found[-1][0]:45s} {found[-1][1]}", flush=True)
        await rate("delete pods, 16 clients", "delete", clients=16, count=PODS)
        found.append(("memory at the end", f"{plane.memory_mib('apiserver'):.0f} MiB"))
    return found


async def _bare_fan_out(plane: ControlPlane, port: int, watchers: int, changes: int) -> dict[str, Any]:
    """What the same deliveries take where nothing but encrypting and writing is done."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.bare_fan_out",
        str(port),
        str(plane.directory),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        if not await process.stdout.readline():
            raise RuntimeError("the bare loop did not begin")
        order = {"watchers": watchers, "rate": changes, "seconds": 10}
        where = {"port": port, "directory": str(plane.directory), "server": process.pid}
        return await _order({"sort": "watch", "objects": 0} | order | where)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _shown(result: dict[str, Any], of_watch: bool) -> str:
    failed = f", {result['failures']} FAILED {result['example']}" if result["failures"] else ""
    if "rate" not in result:
        return f"nothing{failed}"
    latency = f"p50 {result['p50_ms']:.1f} ms, p99 {result['p99_ms']:.1f} ms"
    if of_watch:
        missing = result["expected"] - result["count"]
        costs = f"{result['cpu_us']:.0f} us CPU a delivery, {result['generator_us']:.0f} us the generator's"
        return f"{latency}, {costs}" + (f", {missing} MISSING" if missing else "")
    return f"{result['rate']:.0f}/s, {latency}, {result['cpu_us']:.0f} us CPU{failed}"
