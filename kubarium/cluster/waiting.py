"""What `up` and `down` wait for: an API server that answers, nodes that are Ready, processes that end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from kubarium.apimachinery.errors import Invalid, StatusError
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.cluster import addons, node_network, processes, programs
from kubarium.cluster.machine import LaunchError
from kubarium.cluster.progress import Progress
from kubarium.cluster.state import Cluster

READY_SECONDS = 120.0
ENDS = 3  # in a row; who ended that often ends again
BY_HAND_SECONDS = 8.0  # for a program that was stopped: somebody may be starting it by hand
LAST_WORDS, TRACEBACK = 5, 40  # lines
CRASH = " at=kubarium.component_base.process msg="


async def wait_ready(cluster: Cluster, progress: Progress, seconds: float = READY_SECONDS) -> None:
    """Return when the API server answers, the add-ons are there, and all nodes that are on are Ready."""
    async with admin_client(cluster) as client:
        with progress.step("API server"):
            await until(
                lambda: api_is_ready(client),
                seconds,
                lambda: "the API server does not answer",
                cluster,
                lambda: ("etcd", "kube-apiserver"),
            )
        with progress.step("add-ons"):
            await until(
                lambda: addons.apply(client, cluster), seconds, lambda: "add-ons were refused", cluster
            )
        wanted = {member.name for member in cluster.nodes if member.on}
        real = {member.name for member in cluster.nodes}
        missing: set[str] = wanted
        simulated = 0

        async def nodes_ready() -> bool:
            nonlocal missing, simulated
            ready = await ready_nodes(client)
            missing, simulated = wanted - ready, len(ready - real)
            return not missing and simulated >= cluster.simulated

        def what_is_missing() -> str:
            names = sorted(missing)
            if simulated < cluster.simulated:
                names.append(f"{cluster.simulated - simulated} of {cluster.simulated} simulated nodes")
            return f"not ready: {', '.join(names)}"

        def needed() -> list[str]:
            return [f"{name}/{program}" for name in sorted(missing) for program in programs.NODE_PROGRAMS]

        with progress.step("nodes"):
            await until(nodes_ready, seconds, what_is_missing, cluster, needed)


@asynccontextmanager
async def admin_client(cluster: Cluster, server: str = "") -> AsyncIterator[Client]:
    """A client with all rights; it talks to the server on this machine if no other is named."""
    config = kubeconfig.load(str(cluster.admin_conf))
    client = Client(replace(config, server=server or config.server), user_agent="kubarium")
    try:
        yield client
    finally:
        await client.close()


async def api_is_ready(client: Client) -> bool:
    """Does `/readyz` say ok?"""
    return bool(await client.request("GET", "/readyz", timeout=5) == "ok")


async def ready_nodes(client: Client) -> set[str]:
    """Names of the nodes whose kubelet says that they are ready."""
    listed = await client.resource("v1", "nodes").list()
    return {item["metadata"]["name"] for item in listed["items"] if node_network.is_ready(item)}


async def until(
    done: Callable[[], Awaitable[bool]],
    seconds: float,
    what: Callable[[], str],
    cluster: Cluster,
    needed: Callable[[], Collection[str]] = tuple,
) -> None:
    """Ask again and again; an API server that is not there yet is no reason to stop asking, one that cannot come is.

    `needed` are programs that are missed even if people stopped them themselves.
    """
    began, before = time.monotonic(), restarts(cluster)
    last = ""
    while (passed := time.monotonic() - began) < seconds:
        try:
            if await done():
                return
        except Invalid as error:
            raise LaunchError(f"{what()}: {error}") from error
        except (StatusError, OSError, TimeoutError) as error:
            last = f" ({error})"
        missed = needed() if passed > BY_HAND_SECONDS else ()
        if found := _obstacle(cluster, before, missed):
            raise LaunchError(f"{what()}: {found}\nSee: kubarium status; take it away with: kubarium down")
        await asyncio.sleep(0.1)
    raise LaunchError(
        f"{what()} after {seconds:.0f} s{last}; {_failures(cluster)}"
        f"see the logs in {cluster.logs} and: kubarium status"
    )


def _obstacle(cluster: Cluster, before: Mapping[str, int], missed: Collection[str]) -> str:
    """Why it is in vain to wait on, with the last words of the program that is to blame; nothing if it is not."""
    if processes.keeper_has_ended(cluster):
        return f"the keeper, which starts every program, has ended{last_words(cluster.logs / 'keeper.log')}"
    for each in processes.reports(cluster):
        if each.restarts - before.get(each.name, 0) >= ENDS:
            return f"{each.name} ends again and again ({each.exit}){last_words(each.log)}"
    if stopped := [name for name in cluster.stopped if name in missed]:
        return f"{', '.join(stopped)} was stopped; let it run again: kubarium start {stopped[0]}"
    return ""


def last_words(log: Path) -> str:
    """What a program said of its end, or what it said last of all."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    told = [line for line in lines[-TRACEBACK:] if CRASH in line and "level=error " in line]
    lines = told[-1:] or lines[-LAST_WORDS:]
    return "\n  ".join([f"; the end of {log}:", *lines]) if lines else ""


def restarts(cluster: Cluster) -> dict[str, int]:
    """How often each program was started again."""
    return {each.name: each.restarts for each in processes.reports(cluster)}


def _failures(cluster: Cluster) -> str:
    """Which programs ended again and again, and the last words of the first: the others mostly miss that one."""
    failed = [each for each in processes.reports(cluster) if each.restarts and each.exit]
    if not failed:
        return ""
    told = ", ".join(f"{each.name} ({each.restarts} times)" for each in failed)
    return f"these ended and were started again: {told}; {failed[0].name} ended with {failed[0].exit}; "


async def gone(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that is not our child."""
    deadline = time.monotonic() + seconds
    while not processes.has_ended(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
