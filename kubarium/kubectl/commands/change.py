"""Small changes to objects that exist: `label`, `annotate`, `patch`, `set image`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import yaml

from kubarium.apimachinery.object import Object
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl.names import Target
from kubarium.kubectl.session import CommandFailed, Session, say, with_session


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True)
@dry.option
@with_session
async def label(session: Session, words: tuple[str, ...], overwrite: bool, dry_run: str) -> None:
    """Update the labels on a resource."""
    await _set_metadata(session, words, "labels", overwrite, dry.told("labeled", dry_run), dry_run)


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True)
@dry.option
@with_session
async def annotate(session: Session, words: tuple[str, ...], overwrite: bool, dry_run: str) -> None:
    """Update the annotations on a resource."""
    await _set_metadata(session, words, "annotations", overwrite, dry.told("annotated", dry_run), dry_run)


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("-p", "--patch", "text", required=True)
@click.option("--type", "form", type=click.Choice(["strategic", "merge", "json"]), default="strategic")
@click.option("--subresource", default="")
@dry.option
@with_session
async def patch(
    session: Session, words: tuple[str, ...], text: str, form: Any, subresource: str, dry_run: str
) -> None:
    """Update fields of a resource."""
    body = read_patch(text)
    for target in await _named(session, words):
        resource, where = session.resource(target.kind), session.where(target.kind)
        before = await resource.get(target.name, where, subresource=subresource)
        after = await dry.patch(session, target, body, dry_run, type=form, subresource=subresource)
        same = after is not None and _state(after) == _state(before)
        done = f"patched{' (no change)' if same else ''}"
        say(f"{target.kind.full_name(target.name)} {dry.told(done, dry_run)}")


def _state(obj: Object) -> Object:
    """What a change changes; a trial leaves the resource version alone, so that does not tell."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def read_patch(text: str) -> Any:
    """A patch in JSON or YAML. Raises CommandFailed."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandFailed(f'unable to parse "{text}": {error}') from error


@click.group("set")
def set_group() -> None:
    """Set specific features on objects."""


@set_group.command()
@click.argument("words", nargs=-1, required=True)
@dry.option
@with_session
async def image(session: Session, words: tuple[str, ...], dry_run: str) -> None:
    """Update the image of a pod template: `set image deployment/web nginx=nginx:2`."""
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    for target in await _named(session, [word for word in words if "=" not in word]):
        resource, where = session.resource(target.kind), session.where(target.kind)
        obj = await resource.get(target.name, where)
        known = [each["name"] for each in _containers(obj)]
        for name in pairs:
            if name not in (*known, "*"):
                raise CommandFailed(f'unable to find container named "{name}"')
        chosen = [
            {"name": name, "image": pairs.get(name) or pairs["*"]}
            for name in known
            if name in pairs or "*" in pairs
        ]
        spec: Object = {"containers": chosen}
        body = {"spec": spec if obj["kind"] == "Pod" else {"template": {"spec": spec}}}
        await dry.patch(session, target, body, dry_run, type="strategic")
        say(f"{target.kind.full_name(target.name)} {dry.told('image updated', dry_run)}")


async def _set_metadata(
    session: Session, words: Sequence[str], field: str, overwrite: bool, done: str, dry_run: str
) -> None:
    changes: dict[str, str | None] = {}
    for word in words:
        if "=" in word:
            key, _, value = word.partition("=")
            changes[key] = value
        elif word.endswith("-"):
            changes[word[:-1]] = None
    for target in await _named(
        session, [word for word in words if "=" not in word and not word.endswith("-")]
    ):
        resource, where = session.resource(target.kind), session.where(target.kind)
        present = (await resource.get(target.name, where))["metadata"].get(field) or {}
        for key, wanted in changes.items():
            if wanted is not None and present.get(key, wanted) != wanted and not overwrite:
                raise CommandFailed(f"'{key}' already has a value ({present[key]}), and --overwrite is false")
        await dry.patch(session, target, {"metadata": {field: changes}}, dry_run)
        say(f"{target.kind.full_name(target.name)} {done}")


async def _named(session: Session, words: Sequence[str]) -> list[Target]:
    targets = await session.names.targets(words)
    if any(not target.name for target in targets):
        raise CommandFailed(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>"
        )
    return targets


def _containers(obj: Object) -> list[Object]:
    spec = obj["spec"] if obj["kind"] == "Pod" else obj["spec"]["template"]["spec"]
    found: list[Object] = spec["containers"]
    return found
