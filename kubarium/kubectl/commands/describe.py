"""`kubectl describe`: every field of an object, and what happened to it. One form for all kinds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from kubarium.apimachinery import time as api_time
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import columns
from kubarium.kubectl.session import Session, say, with_session

INDENT = "  "
WIDTH = 14
SHOWN_ABOVE = {"name", "namespace", "labels", "annotations"}
HIDDEN = {"managedFields"}
ACRONYMS = {
    "Ip": "IP",
    "Ips": "IPs",
    "Uid": "UID",
    "Id": "ID",
    "Cidr": "CIDR",
    "Url": "URL",
    "Tls": "TLS",
    "Dns": "DNS",
}


@click.command()
@click.argument("words", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("--show-events/--no-show-events", default=True)
@with_session
async def describe(
    session: Session, words: tuple[str, ...], selector: str, all_namespaces: bool, show_events: bool
) -> None:
    """Show details of a specific resource or group of resources."""
    texts = []
    for target in await session.names.targets(words):
        resource = session.resource(target.kind)
        if target.name:
            found = [await resource.get(target.name, session.where(target.kind))]
        else:
            where = session.where(target.kind, all_namespaces)
            found = (await resource.list(where, label_selector=selector))["items"]
        for obj in found:
            events = await events_of(session, target.kind, obj) if show_events else []
            texts.append(text_of(obj, events))
    say("\n\n\n".join(texts) if texts else "No resources found")


async def events_of(session: Session, kind: Kind, obj: Object) -> list[Object]:
    """The events about an object, oldest first."""
    selector = f"involvedObject.name={name_of(obj)},involvedObject.kind={kind.kind}"
    if uid := obj["metadata"].get("uid"):
        # Events about nodes carry the name in place of the uid, as upstream's kubelet writes them.
        selector += "" if kind.kind == "Node" else f",involvedObject.uid={uid}"
    listed = await session.client.resource("v1", "events").list(namespace_of(obj), field_selector=selector)
    return sorted(listed["items"], key=_moment)


def text_of(obj: Object, events: list[Object]) -> str:
    """The whole description."""
    metadata = obj["metadata"]
    lines = [_pair("Name:", name_of(obj)), _pair("Namespace:", namespace_of(obj) or "<none>")]
    if not namespace_of(obj):
        lines.pop()
    lines += _mapping_lines("Labels:", metadata.get("labels") or {}, "=")
    lines += _mapping_lines("Annotations:", metadata.get("annotations") or {}, ": ")
    rest = {key: value for key, value in metadata.items() if key not in SHOWN_ABOVE | HIDDEN}
    lines += [_pair("API Version:", obj.get("apiVersion", "")), _pair("Kind:", obj.get("kind", ""))]
    lines += ["Metadata:", *_fields(rest, 1)]
    for key, value in sorted(obj.items()):
        if key not in ("metadata", "apiVersion", "kind"):
            lines += list(_field(key, value, 0, secret=obj.get("kind") == "Secret" and key == "data"))
    return "\n".join([*lines, *_event_lines(events)])


def title(key: str) -> str:
    """`hostIP` -> `Host IP`, `restartPolicy` -> `Restart Policy`."""
    if not re.fullmatch(r"[a-z][A-Za-z0-9]*", key):
        return key
    words = re.findall(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z0-9]+", key)
    named = [word if word[:2].isupper() else word.capitalize() for word in words]
    return " ".join(ACRONYMS.get(word, word) for word in named)


def _fields(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    for key in sorted(value):
        yield from _field(key, value[key], depth)


def _field(key: str, value: Any, depth: int, secret: bool = False) -> Iterator[str]:
    head = INDENT * depth + title(key) + ":"
    if isinstance(value, Mapping):
        yield head
        if secret:
            for name, text in sorted(value.items()):
                yield f"{INDENT * (depth + 1)}{name}:  {len(text) * 3 // 4 - text.count('=')} bytes"
            return
        yield from _fields(value, depth + 1)
    elif isinstance(value, list):
        yield head
        for item in value:
            if isinstance(item, Mapping):
                yield from _fields(item, depth + 1)
            else:
                yield INDENT * (depth + 1) + _scalar(item)
    elif isinstance(value, str) and "\n" in value:
        yield head
        yield from (INDENT * (depth + 1) + line for line in value.splitlines())
    else:
        yield _pair(head, _scalar(value))


def _pair(head: str, text: str) -> str:
    return f"{head.ljust(WIDTH)} {text}".rstrip()


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "<none>" if value is None else str(value)


def _mapping_lines(head: str, mapping: Mapping[str, str], sign: str) -> list[str]:
    if not mapping:
        return [_pair(head, "<none>")]
    texts = [f"{key}{sign}{value}" for key, value in sorted(mapping.items())]
    return [_pair(head if i == 0 else "", text) for i, text in enumerate(texts)]


def _event_lines(events: list[Object]) -> list[str]:
    if not events:
        return [_pair("Events:", "<none>")]
    rows = [
        [
            event.get("type", ""),
            event.get("reason", ""),
            _age(event),
            (event.get("source") or {}).get("component") or event.get("reportingComponent") or "",
            (event.get("message") or "").strip(),
        ]
        for event in events
    ]
    table = columns(["Type", "Reason", "Age", "From", "Message"], rows).splitlines()
    return ["Events:", *(f"{INDENT}{line}" for line in table)]


def _moment(event: Object) -> str:
    series = event.get("series") or {}
    return str(
        event.get("lastTimestamp")
        or series.get("lastObservedTime")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def _age(event: Object) -> str:
    count = event.get("count") or (event.get("series") or {}).get("count") or 1
    last = duration_since(_moment(event))
    if count <= 1:
        return last
    return f"{last} (x{count} over {duration_since(event.get('firstTimestamp') or _moment(event))})"


def duration_since(text: str) -> str:
    """How long ago, as kubectl writes it."""
    if not text:
        return "<unknown>"
    return api_time.human_duration((datetime.now(UTC) - api_time.parse_time(text)).total_seconds())
