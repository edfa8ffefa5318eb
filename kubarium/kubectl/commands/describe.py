"""`kubectl describe`: an object as its describer tells it, or every field of it, and what happened to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.commandline import command
from kubarium.kubectl.describers.catalog import DESCRIBERS, WITHOUT_EVENTS
from kubarium.kubectl.describers.page import Page
from kubarium.kubectl.names import Kind
from kubarium.kubectl.session import Session, say, warn, with_session

SHOWN_ABOVE = {"name", "namespace", "labels", "annotations"}
HIDDEN = {"managedFields"}
ACRONYMS = {
    "Api": "API",
    "Ip": "IP",
    "Ips": "IPs",
    "Uid": "UID",
    "Id": "ID",
    "Cidr": "CIDR",
    "Url": "URL",
    "Tls": "TLS",
    "Dns": "DNS",
}


@command()
@click.argument("words", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--show-events", type=bool, is_flag=False, flag_value=True, default=None)
@with_session
async def describe(
    session: Session, words: tuple[str, ...], selector: str, all_namespaces: bool, show_events: bool | None
) -> None:
    """Show details of a specific resource or group of resources."""
    found: list[tuple[Kind, Object]] = []
    for target in await session.names.targets(words):
        resource = session.resource(target.kind)
        if target.name:
            listed = [await resource.get(target.name, session.where(target.kind))]
        else:
            where = session.where(target.kind, all_namespaces)
            listed = (await resource.list(where, label_selector=selector))["items"]
        found += [(target.kind, _of_kind(obj, target.kind)) for obj in listed]
    # Events of many objects are asked for only if one wants them, as upstream.
    with_events = len(found) == 1 if show_events is None else show_events
    texts = [await described(session, kind, obj, with_events=with_events) for kind, obj in found]
    if texts:
        say("\n\n\n".join(texts))
    else:
        warn("No resources found" + ("." if all_namespaces else f" in {session.namespace} namespace."))


def _of_kind(obj: Object, kind: Kind) -> Object:
    return {"apiVersion": kind.api_version, "kind": kind.kind, **obj}


async def described(session: Session, kind: Kind, obj: Object, *, with_events: bool) -> str:
    """All that is told of an object."""
    group = kind.api_version.rpartition("/")[0]
    describer = DESCRIBERS.get((group, kind.kind))
    events = None
    if with_events and (describer is None or kind.kind not in WITHOUT_EVENTS):
        events = await events_of(session, kind, obj)
    page = Page()
    if describer is None:
        add_fields(page, obj)
    else:
        await describer(session, obj, page)
    if events is not None:
        add_events(page, events)
    return str(page)


async def events_of(session: Session, kind: Kind, obj: Object) -> list[Object]:
    """The events about an object, oldest first."""
    selector = f"involvedObject.name={name_of(obj)},involvedObject.kind={kind.kind}"
    if uid := obj["metadata"].get("uid"):
        # Events about nodes carry the name in place of the uid, as upstream's kubelet writes them.
        selector += "" if kind.kind == "Node" else f",involvedObject.uid={uid}"
    listed = await session.client.resource("v1", "events").list(namespace_of(obj), field_selector=selector)
    return sorted(listed["items"], key=lambda event: str(event.get("lastTimestamp") or ""))


def add_fields(page: Page, obj: Object) -> None:
    """What is known of no kind in particular: field by field."""
    metadata = obj["metadata"]
    page.write(0, "Name:", metadata["name"])
    page.write(0, "Namespace:", metadata.get("namespace") or "")
    page.pairs(0, "Labels", metadata.get("labels"))
    page.annotations(0, metadata.get("annotations"))
    shown = {key: value for key, value in metadata.items() if key not in SHOWN_ABOVE | HIDDEN}
    _fields(page, {**obj, "metadata": shown}, 0)


def title(key: str) -> str:
    """`hostIP` -> `Host IP`, `restartPolicy` -> `Restart Policy`."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", key):
        return key
    words = re.findall(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+", key)
    named = [word if word[:2].isupper() else word.capitalize() for word in words]
    return " ".join(ACRONYMS.get(word, word) for word in named)


def _fields(page: Page, value: Mapping[str, Any], level: int) -> None:
    for key in sorted(value):
        head, found = f"{title(key)}:", value[key]
        if isinstance(found, Mapping):
            page.write(level, head)
            _fields(page, found, level + 1)
        elif isinstance(found, list):
            page.write(level, head)
            for item in found:
                if isinstance(item, Mapping):
                    _fields(page, item, level + 1)
                else:
                    page.write(level + 1, _scalar(item))
        else:
            page.write(level, head, _scalar(found))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "<nil>" if value is None else str(value)


def add_events(page: Page, events: list[Object]) -> None:
    """What happened, oldest first."""
    page.write(0, "Events:", *([] if events else ["<none>"]))
    rows = [
        [
            event.get("type") or "",
            event.get("reason") or "",
            _age(event),
            (event.get("source") or {}).get("component") or event.get("reportingComponent") or "",
            _message(event),
        ]
        for event in events
    ]
    if rows:
        page.table(1, ["Type", "Reason", "Age", "From", "Message"], rows)


def _message(event: Object) -> str:
    """What happened, behind the part of the object that it happened to."""
    part = (event.get("involvedObject") or {}).get("fieldPath")
    text = (event.get("message") or "").strip()
    return f"{part}: {text}" if part else text


def _age(event: Object) -> str:
    """`5s (x3 over 2m)`: when it was seen last, how often, and since when. A series tells more than the old fields."""
    first = event.get("firstTimestamp") or event.get("eventTime") or ""
    if series := event.get("series"):
        last, count = duration_since(series.get("lastObservedTime") or ""), series.get("count")
        return f"{last} (x{count} over {duration_since(first)})"
    if (event.get("count") or 0) > 1:
        last = duration_since(event.get("lastTimestamp") or "")
        return f"{last} (x{event['count']} over {duration_since(first)})"
    return duration_since(first)


def duration_since(text: str) -> str:
    """How long ago, as kubectl writes it."""
    if not text:
        return "<unknown>"
    return api_time.human_duration((datetime.now(UTC) - api_time.parse_time(text)).total_seconds())
