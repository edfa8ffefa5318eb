"""`kubectl apply` and `kubectl create -f`: files become objects on the server.

`apply` is always server-side apply; without `--server-side` it takes over fields that others own, as the
client-side kind does, and reports in the words of that one.
"""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl import manifests
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import document
from kubarium.kubectl.session import FIELD_MANAGER, Session, say, with_session


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("--server-side", is_flag=True)
@click.option("--force-conflicts", is_flag=True)
@click.option("--field-manager", default=FIELD_MANAGER)
@click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none")
@click.option("--validate", default="true", hidden=True)
@click.option("-o", "--output", default="")
@with_session
async def apply(session: Session, files: tuple[str, ...], recursive: bool, **flags: Any) -> None:
    """Apply a configuration to a resource by file name or stdin."""
    for obj in manifests.read(files, recursive):
        await _apply(session, obj, flags)


async def _apply(session: Session, obj: Object, flags: Any) -> None:
    kind = await session.names.of_object(obj)
    place(session, kind, obj)
    suffix = "" if flags["dry_run"] == "none" else f" ({flags['dry_run']} dry run)"
    if flags["dry_run"] == "client":
        say(f"{kind.full_name(name_of(obj))} configured{suffix}")
        return
    resource = session.resource(kind)
    before = None
    if not flags["server_side"]:
        before = await _version(session, kind, obj)
    applied = await resource.apply(
        obj,
        field_manager=flags["field_manager"],
        force=flags["force_conflicts"] or not flags["server_side"],
        dry_run=flags["dry_run"] == "server",
    )
    if flags["output"]:
        applied["metadata"].pop("managedFields", None)
        say(document(applied, flags["output"]))
        return
    after = applied["metadata"].get("resourceVersion")
    word = "created" if before is None else "unchanged" if before == after else "configured"
    if flags["server_side"]:
        word = "serverside-applied"
    say(f"{kind.full_name(name_of(applied))} {word}{suffix}")


async def _version(session: Session, kind: Kind, obj: Object) -> str | None:
    try:
        found = await session.resource(kind).get(name_of(obj), session.where(kind))
    except NotFound:
        return None
    return str(found["metadata"]["resourceVersion"])


def place(session: Session, kind: Kind, obj: Object) -> None:
    """Put an object into the namespace of the session, unless it names its own."""
    if not kind.namespaced:
        return
    metadata = obj.setdefault("metadata", {})
    own = metadata.get("namespace")
    if own and session.namespace_given and own != session.namespace:
        raise manifests.ManifestError(
            f'the namespace from the provided object "{own}" does not match the namespace '
            f"\"{session.namespace}\". You must pass '--namespace={own}' to perform this operation."
        )
    metadata.setdefault("namespace", session.namespace)
