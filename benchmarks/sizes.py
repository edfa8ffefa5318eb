"""What the API server's works cost with 1,000, 10,000 and 50,000 pods: they should cost the same.

The pods are put straight into etcd, so that the time goes into measuring, and so that every size shows how long a
server takes to start on a full etcd.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
import time
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

from apiserver.storage.etcd_client import EtcdClient
from benchmarks import api_server
from benchmarks.control_plane import ControlPlane

T = TypeVar("T")

SIZES = (1_000, 10_000, 50_000)
GROUP = 100  # pods with the same label, and pods on the same node
_AT_ONCE = 64
_PODS = "/registry/pods/default/"
_TEMPLATE = "web-00000"


async def measure(port: int) -> list[tuple[str, str]]:
    """Every work with one result for each size."""
    columns = []
    async with ControlPlane(port) as plane:
        await api_server.generate(plane, "service_account", clients=1, count=1)
        await api_server.generate(plane, "create", clients=1, count=1)
        have = 1
        for size in SIZES:
            await plane.stop("apiserver")
            await _fill(port + 1, have, size)
            have = size
            await plane.start_api_server()
            columns.append(await _measure_one(plane, size))
    return [
        (
            f"at {' / '.join(f'{size:,}' for size in SIZES)} pods: {work}",
            " / ".join(column[work] for column in columns),
        )
        for work in columns[0]
    ]


async def _measure_one(plane: ControlPlane, size: int) -> dict[str, str]:
    found = {"start to /readyz": f"{plane.start_seconds:.2f} s, {plane.cpu_seconds('apiserver'):.1f} s CPU"}
    found["memory"] = f"{plane.memory_mib('apiserver'):.0f} MiB"
    token = await asyncio.to_thread(_ask, plane, f"{_ALL}?limit=500", _token)

    async def rate(work: str, sort: str, **order: Any) -> None:
        result = await api_server.generate(plane, sort, clients=8, **({"objects": size} | order))
        failed = f" {result['failures']} FAILED" if result["failures"] else ""
        found[work] = f"{result['rate']:.0f}/s, {result['cpu_us']:.0f} us CPU{failed}"

    await rate("get", "get", count=3000)
    await rate("merge patch", "merge_patch", count=1000)
    await rate("list limit=500", "read", count=300, path=f"{_ALL}?limit=500")
    await rate(
        "list limit=500, a later page of the past",
        "read",
        count=300,
        path=f"{_ALL}?limit=500&continue={token}",
    )
    begun = time.perf_counter()
    await asyncio.to_thread(_ask, plane, _BY_LABEL, len)
    found["the first list by label"] = f"{1000 * (time.perf_counter() - begun):.0f} ms"
    await rate(f"list by label, {GROUP} found", "read", count=500, path=_BY_LABEL)
    await rate(
        f"list by node, {GROUP} found", "read", count=500, path=f"{_ALL}?fieldSelector=spec.nodeName%3Dnode-3"
    )
    await rate("create", "create", count=1000, first=size)
    await rate("delete", "delete", count=1000, first=size)
    result = await api_server.generate(plane, "watch", watchers=50, rate=20, seconds=3)
    found["50 watchers, 20 changes/s"] = f"p50 {result['p50_ms']:.1f} ms, {result['cpu_us']:.0f} us CPU"
    print(f"  {size:,} pods: {found}", flush=True)
    return found


_ALL = "/api/v1/pods"
_BY_LABEL = f"{_ALL}?labelSelector=group%3Dg3"  # the first such list makes an index, which the others use


def _ask(plane: ControlPlane, path: str, read: Callable[[Any], T]) -> T:
    context: ssl.SSLContext = plane.client_context()
    with urllib.request.urlopen(f"https://127.0.0.1:{plane.port}{path}", context=context) as answer:
        return read(json.load(answer))


def _token(answer: Any) -> str:
    return str(answer["metadata"].get("continue", ""))


async def _fill(port: int, begin: int, end: int) -> None:
    """Copies of the first pod, each in a group and on a node."""
    client = EtcdClient([f"http://127.0.0.1:{port}"])
    kept, _ = await client.get(_PODS + _TEMPLATE)
    assert kept is not None
    numbers = iter(range(begin, end))

    async def put() -> None:
        for at in numbers:
            obj = json.loads(kept.value)
            metadata = obj["metadata"]
            metadata["name"] = f"web-{at:05d}"
            metadata["uid"] = f"{metadata['uid'][:-6]}{at:06d}"
            metadata["labels"] = {**metadata["labels"], "group": f"g{at // GROUP}"}
            obj["spec"]["nodeName"] = f"node-{at // GROUP}"
            await client.create(_PODS + metadata["name"], json.dumps(obj, separators=(",", ":")).encode())

    await asyncio.gather(*(put() for _ in itertools.repeat(None, _AT_ONCE)))
    await client.close()
