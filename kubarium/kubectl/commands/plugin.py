"""`kubectl plugin list`: the programs of PATH that add commands."""

from __future__ import annotations

import os

import click

from kubarium.kubectl import plugins
from kubarium.kubectl.commandline import group
from kubarium.kubectl.session import CommandFailed, say, warn


@group()
def plugin() -> None:
    """Provide utilities for interacting with plugins."""


@plugin.command("list")
@click.option("--name-only", is_flag=True, help="Names without folders.")
@click.pass_context
def list_plugins(context: click.Context, /, name_only: bool) -> None:
    """List all visible plugin executables on a user's PATH."""
    root = context.find_root().command
    known = root.commands if isinstance(root, click.Group) else {}
    everything = [*plugins.on_path()]
    if not everything:
        raise CommandFailed("unable to find any kubectl plugins in your PATH")
    say("The following compatible plugins are available:\n")
    seen: dict[str, str] = {}
    warnings = 0
    for path in everything:
        say(path.name if name_only else str(path))
        said = []
        if path.name.removeprefix(plugins.PREFIX).replace("-", " ").split(" ")[0] in known:
            said.append(f'{path.name} overwrites existing command: "{path.name.replace("-", " ")}"')
        if not os.access(path, os.X_OK):
            said.append(f"{path} identified as a kubectl plugin, but it is not executable")
        if path.name in seen:
            said.append(f"{path} is overshadowed by a similarly named plugin: {seen[path.name]}")
        seen.setdefault(path.name, str(path))
        for text in said:
            warn(f"  - warning: {text}")
        warnings += len(said)
    if warnings:
        raise CommandFailed(
            "one plugin warning was found" if warnings == 1 else f"{warnings} plugin warnings were found"
        )
