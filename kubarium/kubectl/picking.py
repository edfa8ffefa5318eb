"""Which objects a command is about: by name, by file, by label, or all of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import manifests
from kubarium.kubectl.names import Kind, Target
from kubarium.kubectl.session import CommandFailed, Session

NOTHING = "one or more resources must be specified as <resource> <name> or <resource>/<name>"
NO_RESOURCE = """\
You must provide one or more resources by argument or filename.
Example resource specifications include:
   '-f rsrc.yaml'
   '--filename=rsrc.json'
   '<resource> <name>'
   '<resource>'"""
NO_NAME = "resource(s) were provided, but no name was specified"

Picked = tuple[Kind, Object]


def options(command: Any) -> Any:
    """`-f`, `-R`, `-l`, `--field-selector`, `--all`, `-A`."""
    for option in (
        click.option("-f", "--filename", "files", multiple=True, help="Files that name the objects."),
        click.option("-R", "--recursive", is_flag=True, help="Look into the folders of a folder, too."),
        click.option("-l", "--selector", default="", help="Labels that the objects have."),
        click.option("--field-selector", default="", help="Fields that the objects have."),
        click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace."),
        click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces."),
    ):
        command = option(command)
    return command


async def pick(
    session: Session, words: Sequence[str], flags: Any, all_without_name: bool = False
) -> list[Picked]:
    """The objects as they are. Raises CommandFailed when nothing, or nothing in particular, is named."""
    if flags.get("files"):
        return [await _of_file(session, obj, source) for obj, source in _read(flags)]
    if not words:
        raise CommandFailed(NOTHING)
    found: list[Picked] = []
    chosen = flags.get("everything") or flags.get("selector") or flags.get("field_selector")
    for target in await session.names.targets(words):
        if target.name:
            obj = await session.resource(target.kind).get(target.name, session.where(target.kind))
            found.append((target.kind, obj))
        elif chosen or all_without_name:
            found += [(target.kind, each) for each in await listed_by(session, target.kind, flags)]
        else:
            raise CommandFailed(NO_NAME)
    return found


def target_of(session: Session, picked: Picked) -> tuple[Session, Target]:
    """What to change, and a session in its namespace."""
    kind, obj = picked
    where = namespace_of(obj)
    return (session.within(where) if where else session), Target(kind, name_of(obj))


def _read(flags: Any) -> list[tuple[Object, str]]:
    return manifests.chosen(flags["files"], "", flags.get("recursive", False))


async def _of_file(session: Session, obj: Object, source: str) -> Picked:
    kind = await session.names.of_object(obj, source)
    where = (namespace_of(obj) or session.namespace) if kind.namespaced else ""
    return kind, await session.resource(kind).get(name_of(obj), where)


async def listed_by(session: Session, kind: Kind, flags: Any, limit: int = 500) -> list[Object]:
    """What selectors choose, read in chunks."""
    resource, where = session.resource(kind), session.where(kind, flags.get("all_namespaces", False))
    found: list[Object] = []
    after = ""
    while True:
        part = await resource.list(
            where,
            label_selector=flags.get("selector", ""),
            field_selector=flags.get("field_selector", ""),
            limit=limit,
            continue_=after,
        )
        found += part["items"]
        after = part["metadata"].get("continue") or ""
        if not after:
            return found
