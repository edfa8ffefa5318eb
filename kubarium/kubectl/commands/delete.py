"""`kubectl delete`, and waiting until what was deleted is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from kubarium.apimachinery.errors import NotFound, StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import manifests, picking
from kubarium.kubectl.commandline import command
from kubarium.kubectl.names import Kind, WrongArguments
from kubarium.kubectl.refusals import tell_failures
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan", "true": "Background"}


@command()
@click.argument("words", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-l", "--selector", default="")
@click.option("--field-selector", default="")
@click.option("--all", "everything", is_flag=True)
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--wait/--no-wait", default=True)
@click.option("--grace-period", default=-1, type=int)
@click.option("--now", is_flag=True)
@click.option("--force", is_flag=True)
@click.option("--cascade", default="background")
@click.option("--ignore-not-found", is_flag=True)
@click.option("--timeout", default="0s", hidden=True)
@click.option("-o", "--output", default="")
@dry.option
@with_session
async def delete(session: Session, words: tuple[str, ...], files: tuple[str, ...], **flags: Any) -> None:
    """Delete resources by file names, stdin, resources and names, or by label selector."""
    victims = await _victims(session, words, files, flags)
    deleted: list[tuple[Kind, Object]] = []
    failures: list[StatusError] = []
    for kind, namespace, name in victims:
        try:
            answer = (
                await session.resource(kind).delete(
                    name,
                    namespace,
                    grace_period_seconds=_grace(flags),
                    propagation_policy=CASCADES.get(flags["cascade"], flags["cascade"]),
                    dry_run=flags["dry_run"] == "server",
                )
                if flags["dry_run"] != "client"
                else await session.resource(kind).get(name, namespace)
            )
        except NotFound as error:
            if not flags["ignore_not_found"]:
                failures.append(error)
            continue
        where = f" from {namespace} namespace" if namespace else ""
        force = " force" if flags["force"] else ""
        say(
            kind.full_name(name)
            if flags["output"] == "name"
            else dry.told(f"{_quoted(kind, name)}{force} deleted{where}", flags["dry_run"])
        )
        deleted.append((kind, _identity(answer, namespace, name)))
    if not victims and not flags["ignore_not_found"]:
        warn("No resources found")
    if flags["wait"] and flags["dry_run"] == "none":
        await asyncio.gather(*(until_gone(session, kind, obj) for kind, obj in deleted))
    tell_failures(failures)


async def until_gone(session: Session, kind: Kind, obj: Object) -> None:
    """Return when this very object is gone; a new one under the same name is another one."""
    resource = session.resource(kind)
    uid = obj["metadata"].get("uid")
    while True:
        try:
            found = await resource.get(name_of(obj), namespace_of(obj))
        except NotFound:
            return
        if uid and found["metadata"]["uid"] != uid:
            return
        await asyncio.sleep(0.2)


async def _victims(
    session: Session, words: tuple[str, ...], files: tuple[str, ...], flags: Any
) -> list[tuple[Kind, str, str]]:
    if files:
        found = []
        for obj in manifests.read(files):
            kind = await session.names.of_object(obj)
            where = (namespace_of(obj) or session.namespace) if kind.namespaced else ""
            found.append((kind, where, name_of(obj)))
        return found
    try:
        targets = await session.names.targets(words)
    except WrongArguments as error:
        raise CommandFailed(picking.NO_RESOURCE) from error
    if any(not target.name for target in targets) and not (
        flags["everything"] or flags["selector"] or flags["field_selector"]
    ):
        raise CommandFailed("resource(s) were provided, but no name was specified")
    victims = []
    for target in targets:
        if target.name:
            victims.append((target.kind, session.where(target.kind), target.name))
            continue
        listed = await session.resource(target.kind).list(
            session.where(target.kind, flags["all_namespaces"]),
            label_selector=flags["selector"],
            field_selector=flags["field_selector"],
        )
        victims += [(target.kind, namespace_of(item), name_of(item)) for item in listed["items"]]
    return victims


def _grace(flags: Any) -> int | None:
    if flags["force"] and flags["grace_period"] < 0:
        return 0
    if flags["now"]:
        return 1
    return flags["grace_period"] if flags["grace_period"] >= 0 else None


def _quoted(kind: Kind, name: str) -> str:
    full = kind.full_name(name)
    return f'{full.rpartition("/")[0]} "{name}"'


def _identity(answer: Object, namespace: str, name: str) -> Object:
    uid = (answer.get("details") or {}).get("uid") or (answer.get("metadata") or {}).get("uid")
    metadata = {"name": name, "uid": uid} | ({"namespace": namespace} if namespace else {})
    return {"metadata": metadata}
