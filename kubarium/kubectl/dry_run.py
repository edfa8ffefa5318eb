"""`--dry-run`: a change that is only told (client), or tried by the server and not kept (server)."""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.names import Target
from kubarium.kubectl.session import CommandFailed, Session


def _checked(_context: click.Context, _flag: click.Parameter, value: str) -> str:
    if value not in NOTES:
        raise CommandFailed(f'Invalid dry-run value ({value}). Must be "none", "server", or "client".')
    return value


option = click.option(
    "--dry-run",
    default="none",
    callback=_checked,
    help="client: only tell what would be sent; server: send it, but let the server keep nothing.",
)


NOTES = {"none": "", "client": " (dry run)", "server": " (server dry run)"}


def told(words: str, dry_run: str) -> str:
    """What was done, or only would be."""
    return words + NOTES[dry_run]


async def patch(session: Session, target: Target, body: Any, dry_run: str, **how: Any) -> Object | None:
    """Change an object as far as the flag lets it; returns what the server answers, if it was asked."""
    if dry_run == "client":
        return None
    resource, where = session.resource(target.kind), session.where(target.kind)
    return await resource.patch(target.name, body, where, dry_run=dry_run == "server", **how)
