"""`kubarium why pod/NAME`: the scheduler's journal as a table that people can read."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object
from kubarium.client import kubeconfig
from kubarium.client.rest import Client
from kubarium.cluster.state import Cluster

PLAIN_COLUMNS = 6  # plugins whose scores get a column of their own; the rest is summed up


class NothingKnown(Exception):
    """The scheduler remembers no decision about the pod."""


async def decisions(cluster: Cluster, namespace: str, pod: str) -> list[Object]:
    """What the scheduler decided about a pod, oldest first. Raises NothingKnown."""
    api_server = kubeconfig.load(str(cluster.admin_conf))
    config = replace(api_server, server=f"https://127.0.0.1:{cluster.ports['scheduler']}")
    async with Client(config, user_agent="kubarium") as client:
        try:
            found = await client.request("GET", f"/debug/decisions/{namespace}/{pod}")
        except errors.NotFound as error:
            async with Client(api_server, user_agent="kubarium") as admin:
                raise NothingKnown(await _why_nothing(admin, namespace, pod)) from error
        except OSError as error:
            raise NothingKnown(f"the scheduler does not answer ({error}); see: kubarium status") from error
    attempts: list[Object] = found if isinstance(found, list) else found["decisions"]
    return attempts


async def _why_nothing(client: Client, namespace: str, pod: str) -> str:
    try:
        found = await client.resource("v1", "pods").get(pod, namespace)
    except errors.NotFound:
        return f"there is no pod {namespace}/{pod}; see: kubectl get pods --all-namespaces"
    node, scheduler = (found["spec"].get(field) or "" for field in ("nodeName", "schedulerName"))
    where = f"it is on {node}" if node else f"it waits for the scheduler that it names: {scheduler}"
    return (
        f"the scheduler remembers no decision about pod {namespace}/{pod}: it knows only what it decided itself since "
        f"it was started, and what names its node itself it is not asked about; {where}"
    )


def render(attempt: Object) -> RenderableType:
    """One attempt: the winner, then every node with what refused it or how it scored."""
    headline = Text.assemble(
        (attempt["pod"], "bold"),
        f" at {attempt['time']}: ",
        (attempt["node"] or attempt["result"], "bold green" if attempt["node"] else "bold red"),
        f"  (decided in {attempt['seconds'] * 1000:.1f} ms)",
    )
    parts: list[RenderableType] = [headline]
    if attempt.get("message"):
        parts.append(Text(attempt["message"]))
    parts.append(_nodes(attempt))
    return Group(*parts)


def _nodes(attempt: Object) -> Table:
    plugins = _interesting_plugins(attempt["nodes"])
    table = Table(box=None, header_style="bold")
    table.add_column("NODE")
    table.add_column("SCORE", justify="right")
    for plugin in plugins:
        table.add_column(plugin.upper(), justify="right")
    table.add_column("REFUSED BY")
    for node in attempt["nodes"]:
        scores = node.get("scores") or {}
        refusals = [f"{each['plugin']}: {each['reason']}" for each in node.get("refusedBy") or []]
        style = "green" if node["node"] == attempt["node"] else "dim" if refusals else ""
        table.add_row(
            node["node"],
            str(node.get("score", "")),
            *(str(scores.get(plugin, "")) for plugin in plugins),
            "; ".join(refusals),
            style=style,
        )
    return table


def _interesting_plugins(nodes: list[Object]) -> list[str]:
    """The plugins whose scores differ between nodes first: they decided."""
    spread: dict[str, set[int]] = {}
    for node in nodes:
        for plugin, score in (node.get("scores") or {}).items():
            spread.setdefault(plugin, set()).add(score)
    ranked = sorted(spread, key=lambda plugin: (-(max(spread[plugin]) - min(spread[plugin])), plugin))
    return ranked[:PLAIN_COLUMNS]
