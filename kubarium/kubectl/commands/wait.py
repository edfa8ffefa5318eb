"""`kubectl wait`: until a condition holds, a field has a value, or an object is gone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import click

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import jsonpath, manifests, picking
from kubarium.kubectl.commandline import Duration, command
from kubarium.kubectl.names import Kind, Target
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

A_WEEK = 7 * 86400.0  # seconds: what a negative --timeout means
UNEXPECTED_PATH = (
    "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or "
    "'{.name1.name2}'"
)


@command()
@click.argument("words", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("--for", "condition", required=True)
@click.option("-l", "--selector", default="")
@click.option("--field-selector", default="")
@click.option("--all", "everything", is_flag=True)
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--timeout", default="30s", type=Duration())
@with_session
async def wait(
    session: Session, words: tuple[str, ...], condition: str, timeout: float, **flags: Any
) -> None:
    """Wait for a specific condition on one or many resources."""
    if condition.startswith("jsonpath=") and condition.count("{") != condition.count("}"):
        raise CommandFailed(UNEXPECTED_PATH)
    if not words and not flags["files"]:
        raise CommandFailed(picking.NO_RESOURCE)
    deadline = time.monotonic() + (timeout if timeout >= 0 else A_WEEK)
    waiting = await _objects(session, words, flags, condition)
    if not waiting and condition != "delete":
        raise CommandFailed("no matching resources found")
    outcomes = await asyncio.gather(*(_wait(session, *each, condition, deadline) for each in waiting))
    for failure in filter(None, outcomes):
        warn(f"error: {failure}")
    if any(outcomes):
        raise SystemExit(1)


async def _wait(session: Session, kind: Kind, obj: Object, condition: str, deadline: float) -> str:
    resource, uid = session.resource(kind), obj["metadata"].get("uid")
    full = kind.full_name(name_of(obj))
    while True:
        try:
            found: Object | None = await resource.get(name_of(obj), namespace_of(obj))
        except NotFound:
            found = None
        if condition == "delete":
            if found is None or (uid and found["metadata"]["uid"] != uid):
                say(f"{full} condition met")
                return ""
        elif found is not None and holds(found, condition):
            say(f"{full} condition met")
            return ""
        elif found is None and condition != "create" and uid:
            return f'{kind.plural} "{name_of(obj)}" not found'
        if time.monotonic() > deadline:
            return f"timed out waiting for the condition on {full.replace('/', 's/', 1)}"
        await asyncio.sleep(0.1)


def holds(obj: Object, condition: str) -> bool:
    """`condition=Ready`, `condition=Ready=false`, `jsonpath={.status.phase}=Running`, `create`."""
    kind, _, rest = condition.partition("=")
    if kind == "create":
        return True
    if kind == "condition":
        name, _, wanted = rest.partition("=")
        conditions = (obj.get("status") or {}).get("conditions") or []
        return any(
            each["type"].lower() == name.lower() and each["status"].lower() == (wanted or "true").lower()
            for each in conditions
        )
    if kind == "jsonpath":
        path, value = _path_and_value(rest)
        values = jsonpath.find(path, obj)
        if value is not None and any(isinstance(each, dict | list) for each in values):
            raise CommandFailed("jsonpath leads to a nested object or list which is not supported")
        found = [jsonpath.show(each) for each in values]
        return bool(found) if value is None else value in found
    raise CommandFailed(f'unrecognized condition: "{condition}"')


def _path_and_value(text: str) -> tuple[str, str | None]:
    text = text.strip("'")
    if text.startswith("{"):
        inner, _, rest = text.partition("}")
        return inner[1:], rest.removeprefix("=") if rest else None
    path, equals, value = text.partition("=")
    return path, value if equals else None


async def _targets(session: Session, words: tuple[str, ...], flags: Any) -> list[tuple[Target, str]]:
    """What to wait for, and in which namespace it is."""
    if not flags["files"]:
        return [(each, session.where(each.kind)) for each in await session.names.targets(words)]
    found = []
    for obj, source in manifests.chosen(flags["files"], "", flags["recursive"], flags["selector"]):
        kind = await session.names.of_object(obj, source)
        found.append((Target(kind, name_of(obj)), namespace_of(obj) or session.where(kind)))
    return found


async def _objects(
    session: Session, words: tuple[str, ...], flags: Any, condition: str
) -> list[tuple[Kind, Object]]:
    found: list[tuple[Kind, Object]] = []
    for target, where in await _targets(session, words, flags):
        resource = session.resource(target.kind)
        if target.name:
            try:
                found.append((target.kind, await resource.get(target.name, where)))
            except NotFound:
                if condition == "delete":
                    continue
                if condition != "create":
                    raise
                found.append((target.kind, {"metadata": {"name": target.name, "namespace": where}}))
            continue
        listed = await resource.list(
            session.where(target.kind, flags["all_namespaces"]),
            label_selector=flags["selector"],
            field_selector=flags["field_selector"],
        )
        found += [(target.kind, item) for item in listed["items"]]
    return found
