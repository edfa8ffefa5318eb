"""`kubectl scale`: through the scale subresource, so that it works for every kind that has one."""

from __future__ import annotations

import click

from kubarium.kubectl.session import CommandFailed, Session, say, with_session


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--replicas", type=click.IntRange(min=0), required=True)
@click.option("--current-replicas", type=int, default=-1)
@with_session
async def scale(session: Session, words: tuple[str, ...], replicas: int, current_replicas: int) -> None:
    """Set a new size for a deployment, replica set, or stateful set."""
    for target in await session.names.targets(words):
        if not target.name:
            raise CommandFailed("resource(s) were provided, but no name was specified")
        resource, where = session.resource(target.kind), session.where(target.kind)
        if current_replicas >= 0:
            present = (await resource.get(target.name, where, subresource="scale"))["spec"].get("replicas", 0)
            if present != current_replicas:
                raise CommandFailed(f"Expected replicas to be {current_replicas}, was {present}")
        await resource.patch(target.name, {"spec": {"replicas": replicas}}, where, subresource="scale")
        say(f"{target.kind.full_name(target.name)} scaled")
