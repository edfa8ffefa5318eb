"""Small changes to objects that exist: `label`, `annotate`, `patch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from kubarium.apimachinery.object import Object, copy, name_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import picking
from kubarium.kubectl.commandline import command
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import emit, with_output
from kubarium.kubectl.session import CommandFailed, Session, say, with_session


@dataclass(frozen=True)
class Words:
    """What is said of labels, or of annotations."""

    field: str
    noun: str
    done: str
    undone: str
    manager: str
    article: str


LABELS = Words("labels", "label", "labeled", "unlabeled", "kubectl-label", "a")
ANNOTATIONS = Words("annotations", "annotation", "annotated", "annotated", "kubectl-annotate", "an")


def with_changes(function: Any) -> Any:
    """The flags that `label` and `annotate` share."""
    for option in (
        click.argument("words", nargs=-1),
        picking.options,
        click.option("--overwrite", is_flag=True, help="Change what has another value already."),
        click.option("--list", "only_list", is_flag=True, help="Show what is there."),
        click.option("--resource-version", default="", help="Change only this version of one object."),
        dry.option,
        with_output,
    ):
        function = option(function)
    return function


@command()
@with_changes
@with_session
async def label(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update the labels on a resource."""
    await _set_metadata(session, words, LABELS, flags)


@command()
@with_changes
@with_session
async def annotate(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update the annotations on a resource."""
    await _set_metadata(session, words, ANNOTATIONS, flags)


@command()
@click.argument("words", nargs=-1)
@picking.options
@click.option("-p", "--patch", "text", default="", help="The patch, in JSON or YAML.")
@click.option("--patch-file", default="", help="A file with the patch.")
@click.option("--type", "form", default="strategic", help="One of: json, merge, strategic.")
@click.option("--subresource", default="", help="What of the object is changed: status, scale ...")
@click.option("--field-manager", default="kubectl-patch")
@dry.option
@with_output
@with_session
async def patch(session: Session, words: tuple[str, ...], text: str, form: Any, **flags: Any) -> None:
    """Update fields of a resource."""
    if not text and not flags["patch_file"]:
        raise CommandFailed("must specify --patch or --patch-file containing the contents of the patch")
    if form not in ("json", "merge", "strategic"):
        raise CommandFailed(f'--type must be one of [json merge strategic], not "{form}"')
    body = read_patch(text or _read_file(flags["patch_file"]))
    how = {"type": form, "subresource": flags["subresource"], "field_manager": flags["field_manager"]}
    for picked in await picking.pick(session, words, flags):
        kind, before = picked
        where, target = picking.target_of(session, picked)
        if flags["subresource"]:
            resource = where.resource(kind)
            before = await resource.get(target.name, where.where(kind), subresource=flags["subresource"])
        after = await dry.patch(where, target, body, flags["dry_run"], **how)
        same = after is not None and _state(after) == _state(before)
        # What is answered may be of another kind: the scale of a deployment.
        full = kind.full_name(target.name)
        if after is not None and after.get("kind") not in (None, kind.kind):
            full = f"{after['kind'].lower()}.{after['apiVersion'].partition('/')[0]}/{target.name}"
        done = f"patched{' (no change)' if same else ''}"
        _tell(kind, after or before, full, done, flags)


def _read_file(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError as error:
        raise CommandFailed(
            f"unable to read patch file: open {path}: {(error.strerror or '').lower()}"
        ) from error


def _tell(kind: Kind, obj: Object, full: str, done: str, flags: Any) -> None:
    if flags["output"] == "name":
        say(full)
    elif flags["output"]:
        emit(obj, flags["output"])
    else:
        say(f"{full} {dry.told(done, flags['dry_run'])}")


def _state(obj: Object) -> Object:
    """What a change changes; a trial leaves the resource version alone, so that does not tell."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def read_patch(text: str) -> Any:
    """A patch in JSON or YAML. Raises CommandFailed."""
    try:
        documents = list(yaml.safe_load_all(text))
        return documents[0] if documents else None
    except yaml.YAMLError as error:
        raise CommandFailed(f'unable to parse "{text}": {error}') from error


async def _set_metadata(session: Session, words: Sequence[str], nouns: Words, flags: Any) -> None:
    named = [word for word in words if "=" not in word and not word.endswith("-")]
    changes = read_changes([word for word in words if word not in named])
    if not named and not flags["files"]:
        raise CommandFailed(picking.NOTHING)
    if not changes and not flags["only_list"]:
        raise CommandFailed(f"at least one {nouns.noun} update is required")
    if len({*changes}) < len([word for word in words if word not in named]):
        raise CommandFailed(
            f"can not both modify and remove {nouns.article} {nouns.noun} in the same command"
        )
    everything = await picking.pick(session, named, flags)
    for picked in everything:
        kind, obj = picked
        present = obj["metadata"].get(nouns.field) or {}
        if flags["only_list"]:
            _list(kind, present, name_of(obj), len(everything) > 1, nouns)
            continue
        if not flags["overwrite"] and (taken := _taken(present, changes, nouns)):
            raise CommandFailed(taken)
        for key, wanted in changes.items():
            if wanted is None and key not in present:
                say(f'{nouns.noun} "{key}" not found.')
        where, target = picking.target_of(session, picked)
        body: Object = {"metadata": {nouns.field: changes}}
        if flags["resource_version"]:
            body["metadata"]["resourceVersion"] = flags["resource_version"]
        after = with_changed(obj, nouns.field, changes)
        done = word_for(present, changes, nouns)
        if not done.startswith("not "):
            after = (
                await dry.patch(where, target, body, flags["dry_run"], field_manager=nouns.manager) or after
            )
        _tell(kind, after, kind.full_name(target.name), done, flags)


def read_changes(words: Sequence[str]) -> dict[str, str | None]:
    """`a=b` sets, `a-` takes away."""
    changes: dict[str, str | None] = {}
    for word in words:
        key, equals, value = word.partition("=")
        changes[key if equals else word[:-1]] = value if equals else None
    return changes


def word_for(present: Object, changes: dict[str, str | None], nouns: Words) -> str:
    """`labeled`, `unlabeled` when something only goes, `not labeled` when all is so already."""
    after = {**present, **{key: value for key, value in changes.items() if value is not None}}
    after = {key: value for key, value in after.items() if changes.get(key, value) is not None}
    if after == present:
        return f"not {nouns.done}" if nouns is LABELS else nouns.done
    return nouns.undone if all(value is None for value in changes.values()) else nouns.done


def with_changed(obj: Object, field: str, changes: dict[str, str | None]) -> Object:
    """A copy with other labels or annotations."""
    made = copy(obj)
    found = {**(made["metadata"].get(field) or {}), **changes}
    made["metadata"][field] = {key: value for key, value in found.items() if value is not None}
    return made


def _taken(present: Object, changes: dict[str, str | None], nouns: Words) -> str:
    taken = [
        f"'{key}' already has a value ({present[key]})"
        for key, wanted in changes.items()
        if wanted is not None and present.get(key, wanted) != wanted
    ]
    if not taken:
        return ""
    if nouns is LABELS:
        return f"{taken[0]}, and --overwrite is false"
    return f"--overwrite is false but found the following declared annotation(s): {'; '.join(taken)}"


def _list(kind: Kind, present: Object, name: str, several: bool, nouns: Words) -> None:
    if several:
        say(
            f"Listing {nouns.field} for {kind.kind}.{kind.version}{f'.{kind.group}' if kind.group else ''}/{name}:"
        )
    for key, value in sorted(present.items()):
        say(f"{' ' if several else ''}{key}={value}")
