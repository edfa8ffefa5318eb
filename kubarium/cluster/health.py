"""How the parts of a cluster say they are."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Mapping

import httpx

from kubarium.apimachinery.errors import StatusError
from kubarium.cluster import keeper, processes, programs, waiting
from kubarium.cluster.state import Cluster

SECONDS = 3.0
FLAG_SECONDS = 4.0  # a program that does not like its flags has said so by then


async def of_all(cluster: Cluster) -> dict[str, str]:
    """Program or node -> a word about its health; only for those that can be asked."""
    if not cluster.ports:
        return {}
    pages = {
        "etcd": (
            f"https://127.0.0.1:{cluster.ports['etcd']}/health",
            "etcd/ca.crt",
            "etcd/healthcheck-client",
        ),
        "kube-apiserver": _page(cluster, "apiserver", "readyz"),
        "kube-controller-manager": _page(cluster, "controller-manager", "healthz"),
        "kube-scheduler": _page(cluster, "scheduler", "healthz"),
        "cloud-controller-manager": _page(cluster, "cloud-controller-manager", "healthz"),
    }
    words = await asyncio.gather(*(_ask(cluster, *page) for page in pages.values()))
    return dict(zip(pages, words, strict=True)) | await _nodes(cluster)


async def wait_steady(cluster: Cluster, before: Mapping[str, int]) -> None:
    """Return when every program runs, and for long enough to be believed; `before` is how often each was restarted."""
    missing: list[str] = []

    async def steady() -> bool:
        nonlocal missing
        missing = unsteady(cluster, before, await of_all(cluster) if cluster.extra else {})
        return not missing

    await waiting.until(
        steady, waiting.READY_SECONDS, lambda: f"these do not run: {', '.join(missing)}", cluster
    )


def unsteady(cluster: Cluster, before: Mapping[str, int], words: Mapping[str, str]) -> list[str]:
    """Programs that do not run, or not for long enough to be believed: after an end, and with flags that people set."""
    ordered = programs.ordered(cluster)
    found = []
    for each in processes.reports(cluster):
        member = cluster.node(each.name.partition("/")[0])
        if each.pid is None:
            if each.name not in cluster.stopped and (member is None or member.on):
                found.append(each.name)
            continue
        needed = 0.0
        if each.restarts > before.get(each.name, 0):
            needed = keeper.STABLE_SECONDS
        elif {each.name, each.name.rpartition("/")[2]} & cluster.extra.keys():
            is_old = processes.argv(each.pid) != ordered[each.name]
            needed = math.inf if is_old or words.get(each.name, "ok") != "ok" else FLAG_SECONDS
        if processes.age(each.pid) < needed:
            found.append(each.name)
    return found


async def all_ready(cluster: Cluster) -> bool:
    """Is everything that is switched on Ready?"""
    words = await of_all(cluster)
    wanted = ["etcd", "kube-apiserver", *(node.name for node in cluster.nodes if node.on)]
    return all(words.get(name) in ("ok", "Ready") for name in wanted)


def _page(cluster: Cluster, name: str, page: str) -> tuple[str, str, str]:
    return f"https://127.0.0.1:{cluster.ports[name]}/{page}", "ca.crt", "admin-client"


async def _ask(cluster: Cluster, url: str, ca: str, pair: str) -> str:
    context = ssl.create_default_context(cafile=str(cluster.pki / ca))
    context.load_cert_chain(cluster.pki / f"{pair}.crt", cluster.pki / f"{pair}.key")
    try:
        async with httpx.AsyncClient(verify=context, timeout=SECONDS) as client:
            answer = await client.get(url)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    return "ok" if answer.status_code == 200 else f"HTTP {answer.status_code}"


async def _nodes(cluster: Cluster) -> dict[str, str]:
    try:
        async with waiting.admin_client(cluster) as client:
            ready = await asyncio.wait_for(waiting.ready_nodes(client), SECONDS)
    except (StatusError, OSError, TimeoutError):
        return {}
    words = {node.name: "Ready" if node.name in ready else "NotReady" for node in cluster.nodes}
    if cluster.simulated:
        count = len(ready - words.keys())
        words["simulated-nodes"] = (
            "ok" if count >= cluster.simulated else f"{count} of {cluster.simulated} Ready"
        )
    return words
