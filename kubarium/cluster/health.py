"""How the parts of a cluster say they are."""

from __future__ import annotations

import asyncio
import ssl

import httpx

from kubarium.apimachinery.errors import StatusError
from kubarium.cluster import waiting
from kubarium.cluster.state import Cluster

SECONDS = 3.0


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
