"""Commands about this program itself: `options`, `help`, `completion`, and `kustomize`, which others do for it."""

from __future__ import annotations

import re

import click
from click.shell_completion import get_completion_class

from kubarium.kubectl import manifests
from kubarium.kubectl.commandline import command, options_text
from kubarium.kubectl.session import misused, say


@command()
@click.pass_context
def options(context: click.Context, /) -> None:
    """Print the list of flags inherited by all commands."""
    say(options_text(context.find_root().command))


@command("help")
@click.argument("words", nargs=-1)
@click.pass_context
def help_command(context: click.Context, /, words: tuple[str, ...]) -> None:
    """Help about any command."""
    within = context.find_root()
    for word in words:
        found = within.command.get_command(within, word) if isinstance(within.command, click.Group) else None
        if found is None:
            say(f"Unknown help topic [`{' '.join(words)}`]\n")
            within = context.find_root()
            break
        within = click.Context(found, parent=within, info_name=found.name)
    say(within.get_help())


@command()
@click.argument("shells", metavar="SHELL", nargs=-1)
@click.pass_context
def completion(context: click.Context, /, shells: tuple[str, ...]) -> None:
    """Output shell completion code for the specified shell (bash, zsh, fish)."""
    if len(shells) != 1:
        raise misused(
            "Shell not specified." if not shells else "Too many arguments. Expected only the shell type."
        )
    found = get_completion_class(shells[0])
    if found is None:
        raise misused(f'Unsupported shell type "{shells[0]}".')
    root = context.find_root().command
    script = found(root, {}, "kubectl", "_KUBECTL_COMPLETE").source()
    # What a shell calls `kubectl` is mostly an alias of ours, and no program.
    script = script.replace("$+commands[kubectl]", "$+commands[kubarium]")
    say(re.sub(r"(_KUBECTL_COMPLETE=\w+) (\$1|kubectl)\)", r"\1 kubarium kubectl)", script))


@command()
@click.argument("folder", default=".")
def kustomize(folder: str) -> None:
    """Build a kustomization target from a directory or URL."""
    say(manifests.kustomized(folder).rstrip())
