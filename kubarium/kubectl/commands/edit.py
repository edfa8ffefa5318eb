"""`kubectl edit`: an object in one's editor; what was changed there goes to the server as a patch."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from pathlib import Path

import click
import yaml

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of
from kubarium.apimachinery.patch import merge_patch
from kubarium.kubectl.commandline import command
from kubarium.kubectl.names import Target
from kubarium.kubectl.printers import document
from kubarium.kubectl.session import FIELD_MANAGER, CommandFailed, Session, say, warn, with_session

HEADER = """\
# Please edit the object below. Lines beginning with a '#' will be ignored,
# and an empty file will abort the edit. If an error occurs while saving this file will be
# reopened with the relevant failures.
#
"""


@command()
@click.argument("words", nargs=-1, required=True)
@click.option("--subresource", default="")
@with_session
async def edit(session: Session, words: tuple[str, ...], subresource: str) -> None:
    """Edit a resource on the server."""
    for target in await session.names.targets(words):
        if not target.name:
            raise CommandFailed("resource(s) were provided, but no name was specified")
        await _edit(session, target, subresource)


async def _edit(session: Session, target: Target, subresource: str) -> None:
    resource, where = session.resource(target.kind), session.where(target.kind)
    before = await resource.get(target.name, where, subresource=subresource)
    before["metadata"].pop("managedFields", None)
    original = document(before, "yaml") + "\n"
    with tempfile.TemporaryDirectory(prefix="kubectl-edit-") as folder:
        file = Path(folder) / f"{name_of(before)}.yaml"
        text, complaint = original, ""
        while True:
            file.write_text(HEADER + complaint + text)
            await _open(file)
            shown, text = text, without_comments(file.read_text())
            if not text.strip():
                warn("Edit cancelled, saved file was empty.")
                return
            if text.strip() == (original if not complaint else shown).strip():
                if complaint:
                    raise CommandFailed("Edit cancelled, no valid changes were saved.")
                warn("Edit cancelled, no changes made.")
                return
            try:
                patch = merge_patch.create(before, read(text, before))
                # What another has changed meanwhile is not overwritten.
                patch.setdefault("metadata", {})["resourceVersion"] = before["metadata"]["resourceVersion"]
                await resource.patch(
                    target.name, patch, where, subresource=subresource, field_manager=FIELD_MANAGER
                )
            except (StatusError, CommandFailed) as error:
                warn(f'error: {target.kind.plural} "{target.name}" could not be patched: {error}')
                complaint = f'# {target.kind.plural} "{target.name}" was not valid:\n# * {error}\n#\n'
                continue
            say(f"{target.kind.full_name(target.name)} edited")
            return


def without_comments(text: str) -> str:
    """The lines that are no comment of ours."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def read(text: str, before: Object) -> Object:
    """What was saved. Raises CommandFailed when it is no longer the same object."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandFailed(f"error parsing edited-file: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise CommandFailed("the edited file is no object")
    for field in ("apiVersion", "kind"):
        if found.get(field) != before[field]:
            raise CommandFailed(f"At least one of apiVersion, kind and name was changed: {field}")
    if found["metadata"].get("name") != name_of(before):
        raise CommandFailed("At least one of apiVersion, kind and name was changed: name")
    return found


async def _open(file: Path) -> None:
    words = shlex.split(os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi")
    try:
        child = await asyncio.create_subprocess_exec(*words, str(file))
    except OSError as error:
        raise CommandFailed(f"unable to launch the editor {words[0]!r}: {error.strerror}") from error
    if code := await child.wait():
        raise CommandFailed(f"there was a problem with the editor {words[0]!r}: exit status {code}")
