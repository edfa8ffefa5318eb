"""`kubectl replace`: an object becomes what a file says, whole."""

from __future__ import annotations

import click

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import name_of, namespace_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import manifests
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.apply import place
from kubarium.kubectl.commands.delete import until_gone
from kubarium.kubectl.session import FIELD_MANAGER, Session, say, with_session


@command()
@click.option("-f", "--filename", "files", multiple=True, required=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("--force", is_flag=True)
@click.option("--grace-period", default=-1)
@click.option("--subresource", default="")
@dry.option
@with_session
async def replace(
    session: Session,
    files: tuple[str, ...],
    recursive: bool,
    force: bool,
    grace_period: int,
    subresource: str,
    dry_run: str,
) -> None:
    """Replace a resource by file name or stdin."""
    for obj in manifests.read(files, recursive):
        kind = await session.names.of_object(obj)
        place(session, kind, obj)
        resource = session.resource(kind)
        if force and dry_run == "none":
            grace = grace_period if grace_period >= 0 else None
            try:
                present = await resource.get(name_of(obj), namespace_of(obj))
                await resource.delete(name_of(obj), namespace_of(obj), grace_period_seconds=grace)
                where = f" from {namespace_of(obj)} namespace" if kind.namespaced else ""
                say(f'{kind.full_name(name_of(obj)).rpartition("/")[0]} "{name_of(obj)}" deleted{where}')
                await until_gone(session, kind, present)
            except NotFound:
                pass
            await resource.create(obj, field_manager=FIELD_MANAGER)
        elif dry_run != "client":
            await resource.update(
                obj, subresource=subresource, field_manager=FIELD_MANAGER, dry_run=dry_run == "server"
            )
        say(f"{kind.full_name(name_of(obj))} {dry.told('replaced', dry_run)}")
