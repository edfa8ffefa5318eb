"""`kubectl top`: what nodes and pods use, as the resource metrics API has it.

Source: https://kubernetes.io/docs/tasks/debug/debug-cluster/resource-metrics-pipeline/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery import quantity
from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of, namespace_of, status_of
from kubarium.kubectl.commandline import group
from kubarium.kubectl.printers import columns
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

API = "metrics.k8s.io/v1beta1"
MEBI = 1024 * 1024

Usage = tuple[int, int]  # milli cores, bytes


@group()
def top() -> None:
    """Display resource (CPU/memory) usage."""


@top.command("node")
@click.argument("names", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("--sort-by", default="", type=click.Choice(["", "cpu", "memory"]))
@click.option("--no-headers", is_flag=True)
@click.option("--show-capacity", is_flag=True)
@with_session
async def top_node(
    session: Session,
    names: tuple[str, ...],
    selector: str,
    sort_by: str,
    no_headers: bool,
    show_capacity: bool,
) -> None:
    """Display resource usage of nodes."""
    found = await _metrics(session, "nodes", "", names, selector)
    listed = await session.client.resource("v1", "nodes").list(label_selector=selector)
    field = "capacity" if show_capacity else "allocatable"
    room = {name_of(node): status_of(node).get(field) or {} for node in listed["items"]}
    used = [(name_of(item), usage(item["usage"])) for item in found]
    rows = []
    for name, (cpu, memory) in _sorted(used, sort_by):
        of_cpu = _percent(cpu, quantity.milli_value(room.get(name, {}).get("cpu", 0)))
        of_memory = _percent(memory, quantity.value(room.get(name, {}).get("memory", 0)))
        rows.append([name, f"{cpu}m", of_cpu, f"{memory // MEBI}Mi", of_memory])
    heads = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    say(columns(heads, rows, not no_headers))


@top.command("pod")
@click.argument("names", nargs=-1)
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-l", "--selector", default="")
@click.option("--containers", is_flag=True)
@click.option("--sort-by", default="", type=click.Choice(["", "cpu", "memory"]))
@click.option("--sum", "with_sum", is_flag=True)
@click.option("--no-headers", is_flag=True)
@with_session
async def top_pod(session: Session, names: tuple[str, ...], **flags: Any) -> None:
    """Display resource usage of pods."""
    everywhere = flags["all_namespaces"]
    found = await _metrics(session, "pods", "" if everywhere else session.namespace, names, flags["selector"])
    if not found:
        warn("No resources found" if everywhere else f"No resources found in {session.namespace} namespace.")
        return
    used: list[tuple[tuple[str, ...], Usage]] = []
    for pod in found:
        head = ((namespace_of(pod),) if everywhere else ()) + (name_of(pod),)
        each = [(container["name"], usage(container["usage"])) for container in pod["containers"]]
        if flags["containers"]:
            used += [((*head, name), amount) for name, amount in each]
        else:
            used.append((head, total([amount for _, amount in each])))
    rows = [[*head, *_amounts(amount)] for head, amount in _sorted(used, flags["sort_by"])]
    heads = [*(["NAMESPACE"] if everywhere else []), *(["POD"] if flags["containers"] else [])]
    heads += ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    if flags["with_sum"]:
        blank = [""] * (len(heads) - 3)
        rows.append([*blank, "", "________", "________"])
        rows.append([*blank, "", *_amounts(total([amount for _, amount in used]))])
    say(columns(heads, rows, not flags["no_headers"]))


top.add_command(top_node, "nodes")
top.add_command(top_pod, "pods")


def usage(amounts: Object) -> Usage:
    """Milli cores and bytes, rounded up as quantities are."""
    return quantity.milli_value(amounts.get("cpu", 0)), quantity.value(amounts.get("memory", 0))


def total(amounts: Sequence[Usage]) -> Usage:
    """All together."""
    return sum(cpu for cpu, _ in amounts), sum(memory for _, memory in amounts)


async def _metrics(
    session: Session, plural: str, namespace: str, names: Sequence[str], selector: str
) -> list[Object]:
    resource = session.client.resource(API, plural)
    try:
        if names:
            return [await resource.get(name, namespace) for name in names]
        listed: list[Object] = (await resource.list(namespace, label_selector=selector))["items"]
    except NotFound as error:
        if error.reason == "NotFound" and names:
            raise
        raise CommandFailed("Metrics API not available") from error
    return listed


def _sorted(used: list[tuple[Any, Usage]], by: str) -> list[tuple[Any, Usage]]:
    if by:
        return sorted(used, key=lambda each: each[1][by == "memory"], reverse=True)
    return sorted(used, key=lambda each: each[0])


def _amounts(amount: Usage) -> list[str]:
    return [f"{amount[0]}m", f"{amount[1] // MEBI}Mi"]


def _percent(part: int, whole: int) -> str:
    return f"{part * 100 // whole}%" if whole else "<unknown>"
