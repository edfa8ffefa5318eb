"""Commands about nodes: `cordon`, `uncordon`, `drain`, `taint`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.commandline import command
from kubarium.kubectl.evictions import CannotDrain, Drain, DrainOptions
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@command()
@click.argument("names", nargs=-1)
@click.option("-l", "--selector", default="")
@dry.option
@with_session
async def cordon(session: Session, names: tuple[str, ...], selector: str, dry_run: str) -> None:
    """Mark nodes as unschedulable."""
    for node in await _nodes(session, names, selector):
        await _set_unschedulable(session, node, True, dry_run)


@command()
@click.argument("names", nargs=-1)
@click.option("-l", "--selector", default="")
@dry.option
@with_session
async def uncordon(session: Session, names: tuple[str, ...], selector: str, dry_run: str) -> None:
    """Mark nodes as schedulable."""
    for node in await _nodes(session, names, selector):
        await _set_unschedulable(session, node, False, dry_run)


@command()
@click.argument("names", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("--ignore-daemonsets", is_flag=True)
@click.option("--delete-emptydir-data", is_flag=True)
@click.option("--force", is_flag=True)
@click.option("--disable-eviction", is_flag=True)
@click.option("--grace-period", default=-1)
@click.option("--timeout", default="0s")
@click.option("--pod-selector", default="")
@dry.option
@with_session
async def drain(session: Session, names: tuple[str, ...], selector: str, **flags: Any) -> None:
    """Drain nodes in preparation for maintenance."""
    nodes = await _nodes(session, names, selector)
    for node in nodes:
        await _set_unschedulable(session, node, True, flags["dry_run"])
    work = Drain(session.client, DrainOptions.of_flags(**flags))
    for number, node in enumerate(nodes):
        try:
            await work.run(name_of(node))
        except CannotDrain as error:
            pending = [f" {name_of(each)}" for each in nodes[number:]]
            raise CommandFailed(
                f'unable to drain node "{name_of(node)}" due to error: {error}, continuing command...\n'
                + "\n".join(["There are pending nodes to be drained:", *pending, *error.reasons])
            ) from error
        say(dry.told(f"node/{name_of(node)} drained", flags["dry_run"]))


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("-l", "--selector", default="")
@click.option("--all", "everything", is_flag=True)
@click.option("--overwrite", is_flag=True)
@dry.option
@with_session
async def taint(
    session: Session,
    words: tuple[str, ...],
    selector: str,
    everything: bool,
    overwrite: bool,
    dry_run: str,
) -> None:
    """Update the taints on one or more nodes."""
    kind, *rest = words
    if kind not in ("node", "nodes", "no"):
        raise CommandFailed(f"invalid resource type {kind}, only node types are supported")
    names = [word for word in rest if not _is_taint(word)]
    additions, removals = read_taints([word for word in rest if _is_taint(word)])
    for node in await _nodes(session, names, "" if everything else selector, everything):
        before = node["spec"].get("taints") or []
        if not overwrite and (taken := _taken(before, additions)):
            effects = ", ".join(taken)
            raise CommandFailed(
                f"node {name_of(node)} already has {effects} taint(s) with same effect(s) and --overwrite is false"
            )
        if not additions and not removals:
            raise CommandFailed("at least one taint update is required")
        after = retainted(before, additions, removals)
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": after},
        }
        if dry_run != "client":
            nodes = session.client.resource("v1", "nodes")
            await nodes.patch(name_of(node), patch, dry_run=dry_run == "server")
        done = "modified" if additions and removals else "tainted" if additions else "untainted"
        say(f"node/{name_of(node)} {dry.told(done, dry_run)}")


def read_taints(words: Sequence[str]) -> tuple[list[Object], list[Object]]:
    """`key=value:Effect`, `key:Effect`, `key:Effect-`, `key-` -> what to add, what to take away."""
    additions: list[Object] = []
    removals: list[Object] = []
    for word in words:
        text = word.removesuffix("-")
        pair, colon, effect = text.partition(":")
        key, _, value = pair.partition("=")
        if colon and effect not in EFFECTS:
            raise CommandFailed(f"invalid taint effect: {effect}, unsupported taint effect")
        found = {"key": key, "effect": effect} | ({"value": value} if value else {})
        if text != word:
            removals.append({"key": key} | ({"effect": effect} if effect else {}))
        elif colon:
            additions.append(found)
        else:
            raise CommandFailed(f"invalid taint spec: {word}")
    return additions, removals


def retainted(before: list[Object], additions: list[Object], removals: list[Object]) -> list[Object]:
    """The taints of a node after a change. Raises CommandFailed for one that was to go but is not there."""
    added = {(each["key"], each["effect"]) for each in additions}
    kept = [each for each in before if (each["key"], each["effect"]) not in added]
    for removal in removals:
        left = [each for each in kept if not removal.items() <= each.items()]
        if len(left) == len(kept):
            named = f"{removal['key']}:{removal['effect']}" if "effect" in removal else removal["key"]
            raise CommandFailed(f'taint "{named}" not found')
        kept = left
    return additions + kept


def _taken(before: list[Object], additions: list[Object]) -> list[str]:
    present = {(each["key"], each["effect"]) for each in before}
    return [each["key"] for each in additions if (each["key"], each["effect"]) in present]


def _is_taint(word: str) -> bool:
    return "=" in word or ":" in word or word.endswith("-")


async def _nodes(
    session: Session, names: Sequence[str], selector: str, everything: bool = False
) -> list[Object]:
    nodes = session.client.resource("v1", "nodes")
    if selector or everything:
        listed: list[Object] = (await nodes.list(label_selector=selector))["items"]
        return listed
    if not names:
        raise CommandFailed("at least one node name or a selector is required")
    return [await nodes.get(name.removeprefix("node/").removeprefix("nodes/")) for name in names]


async def _set_unschedulable(session: Session, node: Object, value: bool, dry_run: str = "none") -> None:
    before = node["spec"].get("unschedulable", False)
    if before != value and dry_run != "client":
        patch = {"spec": {"unschedulable": value or None}}
        nodes = session.client.resource("v1", "nodes")
        await nodes.patch(name_of(node), patch, dry_run=dry_run == "server")
    word = "cordoned" if value else "uncordoned"
    done = f"{'already ' if before == value else ''}{word}"
    say(f"node/{name_of(node)} {dry.told(done, dry_run)}")
