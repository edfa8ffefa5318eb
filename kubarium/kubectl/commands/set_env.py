"""`kubectl set env`: the variables of the containers that an object makes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of
from kubarium.kubectl import picking
from kubarium.kubectl.commands.set import change, matching, set_group, with_flags
from kubarium.kubectl.pod_templates import patch_of
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

SOURCES = {"ConfigMap": ("configMapKeyRef", "configmap"), "Secret": ("secretKeyRef", "secret")}


@set_group.command()
@with_flags
@click.option("-c", "--containers", default="*", help="Which containers; stars are understood.")
@click.option("-e", "--env", "variables", multiple=True, help="KEY=VALUE, as after the names.")
@click.option("--from", "source", default="", help="A config map or a secret to take variables from.")
@click.option("--keys", multiple=True, help="Only these keys of it.")
@click.option("--prefix", default="", help="What the names of variables from there begin with.")
@click.option("--list", "only_list", is_flag=True, help="Show what is set.")
@with_session
async def env(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update environment variables on a pod template."""
    named = [word for word in words if "=" not in word and not word.endswith("-")]
    sets, removals = read_variables([*(word for word in words if word not in named), *flags["variables"]])
    if not named and not flags["files"]:
        raise CommandFailed(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>"
        )
    if flags["source"]:
        sets += await _from(session, flags)
    if flags["only_list"]:
        for kind, obj in await picking.pick(session, named, flags):
            _list({"kind": kind.kind, **obj}, flags["containers"])
        return
    await change(
        session, named, flags, lambda obj: env_patch(obj, flags["containers"], sets, removals), "env updated"
    )


def read_variables(words: Sequence[str]) -> tuple[list[Object], list[str]]:
    """`A=b` sets, `A-` takes away."""
    sets = [word.split("=", 1) for word in words if "=" in word]
    return [{"name": name, "value": value} for name, value in sets], [
        word[:-1] for word in words if "=" not in word
    ]


def env_patch(obj: Object, pattern: str, sets: Sequence[Object], removals: Sequence[str]) -> Object:
    """A patch of the containers that fit. Raises CommandFailed if none does."""
    found = matching(obj, pattern)
    if not found:
        raise CommandFailed(f"{obj['kind']}/{name_of(obj)} does not have any containers matching {pattern!r}")
    spec: Object = {}
    for field, each in found:
        present = {one["name"]: one for one in each.get("env") or []}
        gone = [{"$patch": "delete", "name": name} for name in removals if name in present]
        put = [_put(present.get(one["name"], {}), one) for one in sets]
        if gone or put:
            spec.setdefault(field, []).append({"name": each["name"], "env": [*put, *gone]})
    return patch_of(obj, spec)


def _put(before: Object, one: Object) -> Object:
    """A variable has a value of its own or one from elsewhere, not both."""
    return {**{key: None for key in before if key not in one}, **one}


async def _from(session: Session, flags: Any) -> list[Object]:
    (target,) = await session.names.targets([flags["source"]])
    if target.kind.kind not in SOURCES:
        raise CommandFailed(f"unsupported resource specified in --from: {target.kind.plural}")
    reference, _ = SOURCES[target.kind.kind]
    source = await session.resource(target.kind).get(target.name, session.namespace)
    wanted = {key for text in flags["keys"] for key in text.split(",")}
    found = []
    for key in sorted({**(source.get("data") or {}), **(source.get("binaryData") or {})}):
        if wanted and key not in wanted:
            continue
        name = re.sub(r"[^A-Za-z0-9_]", "_", key).upper()
        if name != key:
            warn(f"Warning: key {key} transferred to {name}")
        reference_to = {"name": target.name, "key": key}
        found.append({"name": flags["prefix"] + name, "valueFrom": {reference: reference_to}})
    return found


def _list(obj: Object, pattern: str) -> None:
    for _, each in matching(obj, pattern):
        say(f"# {obj['kind']} {name_of(obj)}, container {each['name']}")
        for one in each.get("env") or []:
            say(line(one))


def line(one: Object) -> str:
    """`A=b`, or from where it is."""
    for reference, word in SOURCES.values():
        if found := (one.get("valueFrom") or {}).get(reference):
            return f"# {one['name']} from {word} {found['name']}, key {found['key']}"
    if found := (one.get("valueFrom") or {}).get("fieldRef"):
        return f"# {one['name']} from field path {found['fieldPath']}"
    if found := (one.get("valueFrom") or {}).get("resourceFieldRef"):
        return f"# {one['name']} from resource field reference {found['resource']}"
    return f"{one['name']}={one.get('value', '')}"
