"""`--dry-run`: a change that is only told (client), or tried by the server and not kept (server)."""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery.object import Object
from kubarium.kubectl.names import Target
from kubarium.kubectl.session import Session

option = click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none")


def told(words: str, dry_run: str) -> str:
    """What was done, or only would be."""
    return words if dry_run == "none" else f"{words} ({dry_run} dry run)"


async def patch(session: Session, target: Target, body: Any, dry_run: str, **how: Any) -> Object | None:
    """Change an object as far as the flag lets it; returns what the server answers, if it was asked."""
    if dry_run == "client":
        return None
    resource, where = session.resource(target.kind), session.where(target.kind)
    return await resource.patch(target.name, body, where, dry_run=dry_run == "server", **how)
