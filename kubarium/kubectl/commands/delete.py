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

CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}
OLD_CASCADES = {"true": "background", "false": "orphan"}
FORCED = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
    "The resource may continue to run on the cluster indefinitely."
)


@command()
@click.argument("words", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("-k", "--kustomize", default="")
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
@click.option("--raw", default="")
@dry.option
@with_session
async def delete(session: Session, words: tuple[str, ...], files: tuple[str, ...], **flags: Any) -> None:
    """Delete resources by file names, stdin, resources and names, or by resources and label selector."""
    if flags["raw"]:
        received = await session.client.fetch("DELETE", flags["raw"])
        click.echo(received.content.decode(errors="replace"), nl=False)
        return
    _check(flags)
    victims = await _victims(session, words, files, flags)
    deleted: list[tuple[Kind, Object]] = []
    failures: list[StatusError] = []
    for kind, namespace, name, source in victims:
        try:
            answer = (
                await session.resource(kind).delete(
                    name,
                    namespace,
                    grace_period_seconds=_grace(flags),
                    propagation_policy=CASCADES[flags["cascade"]],
                    dry_run=flags["dry_run"] == "server",
                )
                if flags["dry_run"] != "client"
                else await session.resource(kind).get(name, namespace)
            )
        except NotFound as error:
            if source:
                error.message = f'error when deleting "{source}": {error.message}'
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
        say("No resources found")
    if flags["wait"] and flags["dry_run"] == "none":
        await asyncio.gather(*(until_gone(session, kind, obj) for kind, obj in deleted))
    tell_failures(failures)


def _check(flags: Any) -> None:
    """Raises CommandFailed for flags that contradict each other."""
    if (old := flags["cascade"]) in OLD_CASCADES:
        flags["cascade"] = OLD_CASCADES[old]
        warn(
            f"warning: --cascade={old} is deprecated (boolean value) and can be replaced with "
            f"--cascade={flags['cascade']}."
        )
    if flags["cascade"] not in CASCADES:
        raise CommandFailed(f'invalid cascade value ({old}). Must be "background", "foreground", or "orphan"')
    if flags["output"] not in ("", "name"):
        raise CommandFailed(f"unexpected -o output mode: {flags['output']}. We only support '-o name'")
    if flags["force"] and flags["grace_period"] > 0:
        raise CommandFailed("--force and --grace-period greater than 0 cannot be specified together")
    if flags["force"] and flags["grace_period"] <= 0:
        warn(FORCED)
    # What is only listed may be gone before its turn comes: whoever owned it was deleted, too.
    flags["ignore_not_found"] = flags["ignore_not_found"] or flags["everything"]


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
) -> list[tuple[Kind, str, str, str]]:
    """Kind, namespace, name, and the file that says so."""
    if files or flags["kustomize"]:
        found = []
        for obj, source in manifests.chosen(files, flags["kustomize"], flags["recursive"]):
            kind = await session.names.of_object(obj, source)
            where = (namespace_of(obj) or session.namespace) if kind.namespaced else ""
            found.append((kind, where, name_of(obj), source))
        return found
    try:
        targets = await session.names.targets(words)
    except WrongArguments as error:
        raise CommandFailed(picking.NO_RESOURCE) from error
    if any(not target.name for target in targets) and not (
        flags["everything"] or flags["selector"] or flags["field_selector"]
    ):
        raise CommandFailed("resource(s) were provided, but no name was specified")
    if any(target.name for target in targets) and (flags["everything"] or flags["selector"]):
        raise CommandFailed("name cannot be provided when a selector is specified")
    victims = []
    for target in targets:
        if target.name:
            victims.append((target.kind, session.where(target.kind), target.name, ""))
            continue
        listed = await session.resource(target.kind).list(
            session.where(target.kind, flags["all_namespaces"]),
            label_selector=flags["selector"],
            field_selector=flags["field_selector"],
        )
        victims += [(target.kind, namespace_of(item), name_of(item), "") for item in listed["items"]]
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
