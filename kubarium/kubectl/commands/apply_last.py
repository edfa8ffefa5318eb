"""`kubectl apply view-last-applied` and `set-last-applied`: what apply remembers."""

from __future__ import annotations

import json
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import last_applied, manifests, picking
from kubarium.kubectl.commands.apply import apply, place
from kubarium.kubectl.names import Kind, Target
from kubarium.kubectl.printers import document
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

NOT_THERE = "no last-applied-configuration annotation found on resource: {}"


@apply.command("view-last-applied")
@click.argument("words", nargs=-1)
@picking.options
@click.option("-o", "--output", default="yaml")
@with_session
async def view(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """View the latest last-applied-configuration annotations of a resource/object."""
    if flags["output"] not in ("yaml", "json"):
        raise CommandFailed(
            f"Unexpected -o output mode: {flags['output']}, the flag 'output' must be one of yaml|json"
        )
    for _, obj in await picking.pick(session, words, flags):
        before = last_applied.remembered(obj)
        if before is not None:
            say(
                json.dumps(before, indent=2, sort_keys=True)
                if flags["output"] == "json"
                else document(before, "yaml")
            )


@apply.command("set-last-applied")
@click.option("-f", "--filename", "files", multiple=True, required=True)
@click.option("--create-annotation", is_flag=True)
@dry.option
@with_session
async def set_last(session: Session, files: tuple[str, ...], create_annotation: bool, dry_run: str) -> None:
    """Set the last-applied-configuration annotation on a live object to match the contents of a file."""
    for obj, source in manifests.sourced(files, verb="set-last-applied"):
        kind = await session.names.of_object(obj, source)
        place(session, kind, obj)
        live = await session.resource(kind).get(name_of(obj), namespace_of(obj))
        if last_applied.remembered(live) is None and not create_annotation:
            raise CommandFailed(
                f"{NOT_THERE.format(name_of(obj))}, to create the annotation, run the command with --create-annotation"
            )
        await _remember(session, kind, obj, dry_run)
        say(f"{kind.full_name(name_of(obj))} {dry.told('configured', dry_run)}")


async def _remember(session: Session, kind: Kind, obj: Object, dry_run: str) -> None:
    change = {"metadata": {"annotations": {last_applied.ANNOTATION: last_applied.written(obj)}}}
    where = session.within(namespace_of(obj)) if namespace_of(obj) else session
    await dry.patch(where, Target(kind, name_of(obj)), change, dry_run)
