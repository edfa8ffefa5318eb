"""`kubectl set`: single features of objects that exist; `set env` stands in `set_env.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import click

from kubarium.apimachinery.object import Object, copy, name_of
from kubarium.apimachinery.patch import strategic_merge_patch
from kubarium.apimachinery.schema.structural import ANY
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import last_applied, picking
from kubarium.kubectl.commandline import group
from kubarium.kubectl.commands.create_access import RBAC, with_words
from kubarium.kubectl.pod_templates import all_containers, patch_of, pod_spec
from kubarium.kubectl.printers import emit, with_output
from kubarium.kubectl.session import CommandFailed, Session, say, with_session

Change = Callable[[Object], Object]
"""What is to be changed of an object: a patch; empty if nothing is."""


@group("set")
def set_group() -> None:
    """Set specific features on objects."""


def with_flags(function: Any) -> Any:
    """Which objects, and how their change is told."""
    for option in (click.argument("words", nargs=-1), picking.options, dry.option, with_output):
        function = option(function)
    return function


async def change(
    session: Session,
    named: Sequence[str],
    flags: Any,
    decide: Change,
    done: str,
    always: bool = False,
) -> None:
    """Change all picked objects and tell it; those that are so already are left alone, mostly without a word."""
    for picked in await picking.pick(session, named, flags):
        kind, obj = picked
        obj = {"apiVersion": kind.api_version, "kind": kind.kind, **obj}
        body = decide(obj)
        tried = strategic_merge_patch.apply(obj, body, last_applied.schema_of(kind) or ANY)
        if tried == obj and not flags["output"] and not always:
            continue
        where, target = picking.target_of(session, picked)
        how = {"type": "strategic", "field_manager": "kubectl-set"}
        after = await dry.patch(where, target, body, flags["dry_run"], **how) or tried
        if flags["output"] == "name":
            say(kind.full_name(name_of(obj)))
        elif flags["output"]:
            emit(after, flags["output"])
        else:
            say(f"{kind.full_name(name_of(obj))} {dry.told(done, flags['dry_run'])}")


def spec_of(obj: Object) -> Object:
    """The spec of an object's pods. Raises CommandFailed."""
    spec = pod_spec(obj)
    if spec is None:
        raise CommandFailed(
            f"{obj['kind'].lower()}s/{name_of(obj)} the object is not a pod or does not have a pod template"
        )
    return spec


def split_pairs(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names of objects, and the `a=b` among them."""
    pairs = dict(word.split("=", 1) for word in words if "=" in word)
    return [word for word in words if "=" not in word], pairs


@set_group.command()
@with_flags
@with_session
async def image(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update the image of a pod template."""
    named, images = split_pairs(words)
    if not named and not flags["files"]:
        raise CommandFailed(picking.NOTHING)
    if not images:
        raise CommandFailed("at least one image update is required")
    await change(session, named, flags, lambda obj: image_patch(obj, images), "image updated")


def image_patch(obj: Object, images: Mapping[str, str]) -> Object:
    """Other images for the containers of these names; `*` means all. Raises CommandFailed."""
    known = all_containers(spec_of(obj))
    for name in images:
        if name != "*" and name not in [each["name"] for _, each in known]:
            raise CommandFailed(f'unable to find container named "{name}"')
    spec: Object = {}
    for field, each in known:
        if wanted := images.get(each["name"]) or images.get("*"):
            spec.setdefault(field, []).append({"name": each["name"], "image": wanted})
    return patch_of(obj, spec)


@set_group.command()
@with_flags
@click.option("-c", "--containers", default="*", help="Which containers; stars are understood.")
@click.option("--limits", default="", help="cpu=200m,memory=512Mi")
@click.option("--requests", default="", help="cpu=100m,memory=256Mi")
@with_session
async def resources(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update resource requests/limits on objects with pod templates."""
    wanted = {field: pairs_of(flags[field]) for field in ("limits", "requests") if flags[field]}
    if not wanted:
        raise CommandFailed(
            "you must specify an update to requests or limits (in the form of --requests/--limits)"
        )
    await change(
        session,
        words,
        flags,
        lambda obj: _containers_patch(obj, flags["containers"], {"resources": wanted}),
        "resource requirements updated",
    )


def pairs_of(text: str) -> dict[str, str]:
    """`cpu=200m,memory=1Gi`. Raises CommandFailed."""
    pairs = [word.partition("=") for word in text.split(",") if word]
    if wrong := next((name for name, equals, _ in pairs if not equals), ""):
        raise CommandFailed(f"invalid argument syntax {wrong}, expected <resource>=<value>")
    return {name: value for name, _, value in pairs}


def matching(obj: Object, pattern: str) -> list[tuple[str, Object]]:
    """The containers whose names fit."""
    return [each for each in all_containers(spec_of(obj)) if fnmatchcase(each[1]["name"], pattern)]


def _containers_patch(obj: Object, pattern: str, wanted: Object) -> Object:
    found = matching(obj, pattern)
    if not found:
        raise CommandFailed(f"unable to find container named {pattern}")
    spec: Object = {}
    for field, each in found:
        spec.setdefault(field, []).append({"name": each["name"], **wanted})
    return patch_of(obj, spec)


@set_group.command()
@with_flags
@with_session
async def serviceaccount(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update the service account of a resource."""
    if not words:
        raise CommandFailed("serviceaccount is required")
    *named, account = words

    def decide(obj: Object) -> Object:
        spec_of(obj)
        return patch_of(obj, {"serviceAccountName": account, "serviceAccount": account})

    await change(session, named, flags, decide, "serviceaccount updated")


set_group.add_command(serviceaccount, "sa")


@set_group.command()
@with_flags
@click.option("--resource-version", default="", help="Change only this version.")
@with_session
async def selector(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Set the selector on a resource."""
    if not words:
        raise CommandFailed(picking.NOTHING)
    *named, text = words
    wanted = dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)

    def decide(obj: Object) -> Object:
        if obj["kind"] != "Service":
            raise CommandFailed("setting a selector is only supported for Services")
        return {"spec": {"selector": {**dict.fromkeys(obj["spec"].get("selector") or {}), **wanted}}}

    await change(session, named, flags, decide, "selector updated", always=True)


@set_group.command()
@with_flags
@with_words("--user", "--group", "--serviceaccount", separator=None)
@with_session
async def subject(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Update the user, group, or service account in a role binding or cluster role binding."""
    added: list[Object] = [{"kind": "User", "apiGroup": RBAC, "name": name} for name in flags["user"]]
    added += [{"kind": "Group", "apiGroup": RBAC, "name": name} for name in flags["group"]]
    for account in flags["serviceaccount"]:
        namespace, colon, name = account.partition(":")
        if not colon or not namespace or not name:
            raise CommandFailed("serviceaccount must be <namespace>:<name> for bindings")
        added.append({"kind": "ServiceAccount", "namespace": namespace, "name": name})
    if not added:
        raise CommandFailed("you must specify at least one value of user, group or serviceaccount")

    def decide(obj: Object) -> Object:
        present = obj.get("subjects") or []
        return {"subjects": copy({"all": present})["all"] + [each for each in added if each not in present]}

    await change(session, words, flags, decide, "subjects updated")
