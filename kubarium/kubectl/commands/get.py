"""`kubectl get`: tables as the server makes them, or whole objects."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of
from kubarium.apimachinery.watch import BOOKMARK, WatchEvent
from kubarium.kubectl import jsonpath, manifests
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.describe import duration_since
from kubarium.kubectl.names import Kind, Target
from kubarium.kubectl.picking import listed_by
from kubarium.kubectl.printers import TABLE_ACCEPT, TablePrinter, emit, with_output
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

API_RESOURCES_HINT = 'Use "kubectl api-resources" for a complete list of supported resources.'
EXPLAIN_HINT = (
    'Use "kubectl explain <resource>" for a detailed description of that resource (e.g. kubectl explain pods).\n'
    "See 'kubectl get -h' for help and examples"
)


@command()
@click.argument("words", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("-k", "--kustomize", default="")
@with_output
@click.option("-A", "--all-namespaces", is_flag=True)
@click.option("-l", "--selector", default="")
@click.option("--field-selector", default="")
@click.option("-w", "--watch", is_flag=True)
@click.option("--watch-only", is_flag=True)
@click.option("--show-labels", is_flag=True)
@click.option("-L", "--label-columns", multiple=True)
@click.option("--no-headers", is_flag=True)
@click.option("--show-kind", is_flag=True)
@click.option("--sort-by", default="")
@click.option("--ignore-not-found", is_flag=True)
@click.option("--show-managed-fields", is_flag=True)
@click.option("--chunk-size", default=500, hidden=True)
@click.option("--raw", default="")
@click.option("--subresource", default="")
@click.option("--output-watch-events", is_flag=True)
@click.option("--server-print/--no-server-print", default=True)
@with_session
async def get(session: Session, words: tuple[str, ...], files: tuple[str, ...], **flags: Any) -> None:
    """Display one or many resources."""
    watching = flags["watch"] or flags["watch_only"]
    if flags["output_watch_events"] and not watching:
        raise CommandFailed("--output-watch-events option can only be used with --watch or --watch-only")
    if flags["raw"]:
        if not flags["raw"].startswith("/"):
            raise CommandFailed(
                f'--raw must be a valid URL path: parse "{flags["raw"]}": invalid URI for request'
            )
        answer = await session.client.fetch("GET", flags["raw"])
        click.echo(answer.content.decode(errors="replace"), nl=False)
        return
    targets = await _targets(session, words, files, flags)
    if any(target.name for target in targets) and words and (flags["selector"] or flags["field_selector"]):
        raise CommandFailed("name cannot be provided when a selector is specified")
    if flags["all_namespaces"] and any(target.name for target in targets):
        raise CommandFailed("a resource cannot be retrieved by name across all namespaces")
    if watching:
        await _watch(session, targets[0], flags)
    elif flags["output"] in ("", "wide"):
        await _tables(session, targets, flags)
    else:
        await _objects(session, targets, flags)


async def _targets(session: Session, words: Sequence[str], files: Sequence[str], flags: Any) -> list[Target]:
    from_files = bool(files or flags["kustomize"])
    if not from_files and not words:
        warn(f"You must specify the type of resource to get. {API_RESOURCES_HINT}\n")
        raise CommandFailed(f"Required resource not specified.\n{EXPLAIN_HINT}")
    if not from_files:
        return await session.names.targets(words)
    objects = manifests.chosen(files, flags["kustomize"], flags["recursive"])
    return [Target(await session.names.of_object(obj, source), name_of(obj)) for obj, source in objects]


async def _tables(session: Session, targets: list[Target], flags: Any) -> None:
    kinds: dict[Kind, list[str]] = {}
    for target in targets:
        kinds.setdefault(target.kind, []).append(target.name)
    printed, failures = 0, []
    for kind, names in kinds.items():
        everywhere = flags["all_namespaces"] and kind.namespaced
        printer = _printer(kind, flags, everywhere, several=len(kinds) > 1)
        rows: list[Object] = []
        definitions: list[Object] = []
        for name in names:
            try:
                table = await _table(session, kind, name, flags)
            except NotFound as error:
                if not flags["ignore_not_found"]:
                    failures.append(f"Error from server (NotFound): {error}")
                continue
            definitions = table.get("columnDefinitions") or definitions
            rows += table.get("rows") or []
        if rows:
            if printed:
                say("")
            say(printer.text({"columnDefinitions": definitions, "rows": _sorted(rows, flags["sort_by"])}))
            printed += 1
    for failure in failures:
        warn(failure)
    if failures:
        raise SystemExit(1)
    if not printed and not flags["ignore_not_found"]:
        _nothing(session, targets, flags)


def _nothing(session: Session, targets: list[Target], flags: Any) -> None:
    if flags["all_namespaces"] or not any(target.kind.namespaced for target in targets):
        warn("No resources found")
    else:
        warn(f"No resources found in {session.namespace} namespace.")


def _printer(kind: Kind, flags: Any, everywhere: bool, several: bool) -> TablePrinter:
    label_columns = [label for text in flags["label_columns"] for label in text.split(",")]
    return TablePrinter(
        kind,
        wide=flags["output"] == "wide",
        with_namespace=everywhere,
        with_kind=flags["show_kind"] or several,
        labels=flags["show_labels"],
        label_columns=label_columns,
        headers=not flags["no_headers"],
    )


async def _table(session: Session, kind: Kind, name: str, flags: Any) -> Object:
    path = _path(session, kind, name, flags)
    query = {"includeObject": "Object" if flags["sort_by"] else "Metadata"}
    query |= _selectors(flags) if not name else {}
    accept = TABLE_ACCEPT if flags["server_print"] else "application/json"
    table: Object = await session.client.request("GET", path, query=query, headers={"Accept": accept})
    return table if table.get("kind") == "Table" else plain_table(table)


def plain_table(found: Object) -> Object:
    """Names and ages: what we can tell of objects that the server makes no table of."""
    items = found.get("items", [found])
    rows = [
        {
            "cells": [name_of(each), duration_since(each["metadata"].get("creationTimestamp") or "")],
            "object": each,
        }
        for each in items
    ]
    names = [{"name": "Name"}, {"name": "Age"}]
    return {"metadata": found.get("metadata") or {}, "columnDefinitions": names, "rows": rows}


def _path(session: Session, kind: Kind, name: str, flags: Any) -> str:
    where = session.where(kind, flags["all_namespaces"] and not name)
    return session.resource(kind).path(where, name, flags["subresource"])


def _selectors(flags: Any) -> dict[str, str]:
    return {"labelSelector": flags["selector"], "fieldSelector": flags["field_selector"]}


def _sorted(rows: list[Object], path: str) -> list[Object]:
    return sorted(rows, key=lambda row: sort_key(path, row["object"])) if path else rows


def sort_key(path: str, obj: Object) -> tuple[bool, str, Any]:
    """What `--sort-by` compares; what is not there comes first. Words are compared by nature: a2 before a10."""
    values = jsonpath.find(path, obj)
    value = values[0] if values else None
    if isinstance(value, str):
        value = [(not part.isdigit(), int(part) if part.isdigit() else part) for part in _parts(value)]
    return value is not None, type(value).__name__, value


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", text) if part]


async def _objects(session: Session, targets: list[Target], flags: Any) -> None:
    found: list[tuple[Kind, Object]] = []
    failures: list[NotFound] = []
    for target in targets:
        try:
            found += [(target.kind, obj) for obj in await _fetch(session, target, flags)]
        except NotFound as error:
            failures.append(error)
    if len(failures) == 1 and not found:
        raise failures[0]
    if flags["sort_by"]:
        found.sort(key=lambda each: sort_key(flags["sort_by"], each[1]))
    single = bool(len(targets) == 1 and targets[0].name)
    _show(found, single, flags)
    for failure in failures:
        warn(f"Error from server (NotFound): {failure}")
    if failures:
        raise SystemExit(1)


def _show(found: list[tuple[Kind, Object]], single: bool, flags: Any) -> None:
    if flags["output"] == "name":
        for kind, obj in found:
            say(kind.full_name(name_of(obj)))
        return
    objects = [obj for _, obj in found]
    if objects or not single:
        listed = {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}
        shown = objects[0] if single else listed
        emit(shown, flags["output"], not flags["no_headers"], managed=flags["show_managed_fields"])


async def _fetch(session: Session, target: Target, flags: Any) -> list[Object]:
    resource = session.resource(target.kind)
    if target.name:
        try:
            where = session.where(target.kind)
            return [await resource.get(target.name, where, subresource=flags["subresource"])]
        except NotFound:
            if flags["ignore_not_found"]:
                return []
            raise
    return await listed_by(session, target.kind, flags, flags["chunk_size"])


async def _watch(session: Session, target: Target, flags: Any) -> None:
    if target.name:
        flags["field_selector"] = f"metadata.name={target.name}"
    everywhere = flags["all_namespaces"] and target.kind.namespaced
    printer = _printer(target.kind, flags, everywhere, several=False)
    table = await _table(session, target.kind, "", flags)
    if not flags["watch_only"] and table.get("rows"):
        if flags["output"] in ("", "wide"):
            say(printer.text(table, "ADDED" if flags["output_watch_events"] else ""))
        else:
            await _objects(session, [target], flags)
    version = table["metadata"]["resourceVersion"]
    resource = session.resource(target.kind)
    as_table = flags["output"] in ("", "wide")
    while True:
        async for event in resource.watch(
            session.where(target.kind, flags["all_namespaces"]),
            resource_version=version,
            label_selector=flags["selector"],
            field_selector=flags["field_selector"],
            headers={"Accept": TABLE_ACCEPT} if as_table else None,
        ):
            version = _show_event(target.kind, printer, event, flags) or version
        await asyncio.sleep(0.1)


def _show_event(kind: Kind, printer: TablePrinter, event: WatchEvent, flags: Any) -> str:
    obj, output = event.obj, flags["output"]
    if event.type == BOOKMARK:
        return str((obj.get("metadata") or {}).get("resourceVersion") or "")
    if output in ("", "wide"):
        say(printer.text(obj, event.type if flags["output_watch_events"] else ""))
        rows = obj.get("rows") or [{}]
        metadata = (rows[-1].get("object") or {}).get("metadata") or {}
        return str(metadata.get("resourceVersion") or "")
    if output == "name":
        say(kind.full_name(name_of(obj)))
    else:
        if output == "yaml":
            say("---")
        emit(obj, output, headers=False, managed=flags["show_managed_fields"])
    return str(obj["metadata"]["resourceVersion"])
