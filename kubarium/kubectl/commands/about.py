"""Commands about this program itself: `options`, and `kustomize`, which it cannot do."""

from __future__ import annotations

import click

from kubarium.kubectl.commandline import command, options_text
from kubarium.kubectl.manifests import NO_KUSTOMIZE
from kubarium.kubectl.session import CommandFailed, say


@command()
@click.pass_context
def options(context: click.Context, /) -> None:
    """Print the list of flags inherited by all commands."""
    say(options_text(context.find_root().command))


@command()
@click.argument("folder", default=".")
def kustomize(folder: str) -> None:
    """Build a kustomization target from a directory or URL."""
    raise CommandFailed(f"{folder}: {NO_KUSTOMIZE}")
