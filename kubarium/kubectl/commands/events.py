"""`kubectl events`: what has happened lately, the newest last."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, namespace_of
from kubarium.kubectl.commandline import command
from kubarium.kubectl.printers import columns, document
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session


@command()
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--for", "about", default="")
@click.option("--types", default="")
@click.option("-w", "--watch", is_flag=True)
@click.option("--no-headers", is_flag=True)
@click.option("-o", "--output", default="")
@with_session
async def events(
    session: Session,
    all_namespaces: bool,
    about: str,
    types: str,
    watch: bool,
    no_headers: bool,
    output: str,
) -> None:
    """List events."""
    where = "" if all_namespaces else session.namespace
    selector = await _selector(session, about)
    wanted = {word.lower() for word in types.split(",") if word}
    if wanted - {"normal", "warning"}:
        raise CommandFailed("valid --types are Normal or Warning")
    resource = session.client.resource("v1", "events")
    listed = await resource.list(where, field_selector=selector)
    found = sorted((event for event in listed["items"] if _wanted(event, wanted)), key=last_seen)
    if output:
        say(document({"apiVersion": "v1", "kind": "List", "items": found, "metadata": {}}, output))
    elif found:
        _show(found, all_namespaces, not no_headers)
    elif not watch:
        warn("No events found." if all_namespaces else f"No events found in {where} namespace.")
    if not watch:
        return
    version = listed["metadata"]["resourceVersion"]
    async for change in resource.watch(where, resource_version=version, field_selector=selector):
        if change.type in ("ADDED", "MODIFIED") and _wanted(change.obj, wanted):
            _show([change.obj], all_namespaces, False)


def last_seen(event: Object) -> str:
    """When it happened last, however its writer said it."""
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return str(found or event["metadata"].get("creationTimestamp") or "")


def line(event: Object, now: datetime) -> list[str]:
    """LAST SEEN, TYPE, REASON, OBJECT, MESSAGE."""
    count = int((event.get("series") or {}).get("count") or event.get("count") or 1)
    last = _ago(last_seen(event), now)
    if count > 1:
        first = event.get("firstTimestamp") or event.get("eventTime") or ""
        last = f"{last} (x{count} over {_ago(str(first), now)})"
    involved = event.get("involvedObject") or {}
    name = f"{involved.get('kind', '')}/{involved.get('name', '')}"
    return [last, event.get("type", ""), event.get("reason", ""), name, str(event.get("message", "")).strip()]


def _ago(moment: str, now: datetime) -> str:
    if not moment:
        return "<unknown>"
    return api_time.human_duration((now - api_time.parse_time(moment)).total_seconds())


def _show(found: list[Object], with_namespace: bool, headers: bool) -> None:
    now = datetime.now(UTC)
    heads = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    rows = [line(event, now) for event in found]
    if with_namespace:
        heads = ["NAMESPACE", *heads]
        rows = [[namespace_of(event), *row] for event, row in zip(found, rows, strict=True)]
    say(columns(heads, rows, headers))


def _wanted(event: Object, types: set[str]) -> bool:
    return not types or str(event.get("type", "")).lower() in types


async def _selector(session: Session, about: str) -> str:
    if not about:
        return ""
    (target,) = await session.names.targets([about])
    return f"involvedObject.kind={target.kind.kind},involvedObject.name={target.name}"
