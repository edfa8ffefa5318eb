"""`kubectl diff`: what an apply would change, as `diff -u` (or `$KUBECTL_EXTERNAL_DIFF`) shows it."""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any

import click

from kubarium.apimachinery.errors import NotFound, StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import manifests
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.apply import apply_patch, place
from kubarium.kubectl.names import NoMatch
from kubarium.kubectl.printers import document
from kubarium.kubectl.refusals import refusal
from kubarium.kubectl.session import FIELD_MANAGER, CommandFailed, Session, warn, with_session

PROGRAM = "KUBECTL_EXTERNAL_DIFF"
TROUBLE = 2  # as diff itself says it
MASK = ("***", "*** (before)", "*** (after)")


@command()
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-k", "--kustomize", default="")
@click.option("-R", "--recursive", is_flag=True)
@click.option("--server-side", is_flag=True)
@click.option("--force-conflicts", is_flag=True)
@click.option("--field-manager", default=FIELD_MANAGER)
@click.option("--show-managed-fields", is_flag=True)
@with_session
async def diff(session: Session, **flags: Any) -> None:
    """Diff the live version against a would-be applied version."""
    try:
        if not flags["files"] and not flags["kustomize"]:
            raise CommandFailed("must specify one of -f and -k")
        code = await _differences(session, **flags)
    except (
        CommandFailed,
        manifests.ManifestError,
        NoMatch,
    ) as error:  # no difference: the exit code must not say 1
        warn(f"error: {error}")
        code = TROUBLE
    except StatusError as error:
        warn(refusal(error))
        code = TROUBLE
    if code:
        raise SystemExit(code)


async def _differences(
    session: Session,
    files: tuple[str, ...],
    kustomize: str,
    recursive: bool,
    server_side: bool,
    force_conflicts: bool,
    field_manager: str,
    show_managed_fields: bool,
) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="LIVE-") as live,
        tempfile.TemporaryDirectory(prefix="MERGED-") as merged,
    ):
        for obj, source in manifests.chosen(files, kustomize, recursive):
            kind = await session.names.of_object(obj, source)
            place(session, kind, obj)
            resource = session.resource(kind)
            try:
                before: Object | None = await resource.get(name_of(obj), namespace_of(obj))
            except NotFound:
                before = None
            if server_side:
                after = await resource.apply(
                    obj, field_manager=field_manager, force=force_conflicts, dry_run=True
                )
            else:
                how = {"dry_run": "server", "field_manager": ""}
                after, _ = await apply_patch(session, kind, obj, "", how, remember=False)
            for found in filter(None, (before, after)):
                if not show_managed_fields:
                    found["metadata"].pop("managedFields", None)
            if kind.plural == "secrets" and not kind.group:
                mask(before, after)
            file = ".".join((kind.group, kind.version, kind.kind, namespace_of(after), name_of(after)))
            _write(Path(live), file.lstrip("."), before)
            _write(Path(merged), file.lstrip("."), after)
        code = await _compare(live, merged)
    if code > 1:
        raise CommandFailed(f"exit status {code}")
    return code


def mask(before: Object | None, after: Object) -> None:
    """Nobody reads a secret over a shoulder: its values are stars, which still tell whether they change."""
    same, old, new = MASK
    was, will = (before or {}).get("data") or {}, after.get("data") or {}
    for key in {*was, *will}:
        changes = key in was and key in will and was[key] != will[key]
        if key in was:
            was[key] = old if changes else same
        if key in will:
            will[key] = new if changes else same


def _write(folder: Path, name: str, obj: Object | None) -> None:
    (folder / name).write_text(document(obj, "yaml") + "\n" if obj else "")


async def _compare(live: str, merged: str) -> int:
    """0: the same; 1: they differ; more: the program failed."""
    words = shlex.split(os.environ.get(PROGRAM, "")) or ["diff", "-u", "-N"]
    try:
        child = await asyncio.create_subprocess_exec(*words, live, merged)
    except OSError as error:
        raise CommandFailed(f"failed to run {words[0]!r}: {error.strerror}") from error
    return await child.wait()
