"""`kubectl apply`: files become objects on the server, and stay what the files say.

By the client's side, what was applied last is remembered in an annotation, and a patch is made of that, the file and
the object (`../three_way.py`); with `--server-side` the server knows what is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.errors import Conflict, NotFound, StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import last_applied, manifests, three_way
from kubarium.kubectl.commandline import Group, group
from kubarium.kubectl.names import Kind
from kubarium.kubectl.printers import emit, with_output
from kubarium.kubectl.pruning import prune
from kubarium.kubectl.refusals import refusal
from kubarium.kubectl.session import (
    FIELD_MANAGER,
    CommandFailed,
    Session,
    say,
    validate_option,
    warn,
    with_session,
)

MISSING = (
    "Warning: resource {} is missing the {} annotation which is required by kubectl apply. kubectl apply should only "
    "be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing "
    "annotation will be patched automatically."
)
CONFLICT = """
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"""


@group(cls=Group, invoke_without_command=True)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("-k", "--kustomize", default="")
@click.option("-l", "--selector", default="")
@click.option("--server-side", is_flag=True)
@click.option("--force-conflicts", is_flag=True)
@click.option("--field-manager", default="")
@click.option("--overwrite/--no-overwrite", default=True, hidden=True)
@click.option("--prune", is_flag=True)
@click.option("--all", "everything", is_flag=True)
@click.option("--prune-allowlist", multiple=True)
@validate_option
@dry.option
@with_output
@click.pass_context
def apply(context: click.Context, /, **flags: Any) -> None:
    """Apply a configuration to a resource by file name or stdin."""
    if context.invoked_subcommand is None:
        if not flags["files"] and not flags["kustomize"]:
            raise CommandFailed("must specify one of -f and -k")
        if flags["force_conflicts"] and not flags["server_side"]:
            raise CommandFailed("--force-conflicts only works with --server-side")
        if flags["dry_run"] == "client" and flags["server_side"]:
            raise CommandFailed(
                "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
            )
        if flags["prune"] and not flags["everything"] and not flags["selector"]:
            raise CommandFailed(
                "all resources selected for prune without explicitly passing --all. To prune all resources, pass the "
                "--all flag. If you did not mean to prune all resources, specify a label selector"
            )
        context.invoke(_apply_all, flags=flags)


@click.command()
@with_session
async def _apply_all(session: Session, flags: Any) -> None:
    applied: list[Object] = []
    failures = []
    for obj, source in manifests.chosen(
        flags["files"], flags["kustomize"], flags["recursive"], flags["selector"]
    ):
        try:
            applied.append(await _apply(session, obj, source, flags))
        except StatusError as error:
            failures.append(error)
    if len(failures) == 1 and not applied:
        raise failures[0]
    for failure in failures:
        warn(refusal(failure))
    if failures:
        raise SystemExit(1)
    if flags["prune"]:
        await prune(session, applied, flags)


async def _apply(session: Session, obj: Object, source: str, flags: Any) -> Object:
    kind = await session.names.of_object(obj, source)
    place(session, kind, obj)
    if flags["server_side"]:
        done, word = await _by_the_server(session, kind, obj, flags), "serverside-applied"
    else:
        done, word = await apply_patch(session, kind, obj, source, flags)
    _tell(kind, done, word, flags)
    return done


def _tell(kind: Kind, obj: Object, word: str, flags: Any) -> None:
    if flags["output"] == "name":
        say(kind.full_name(name_of(obj)))
    elif flags["output"]:
        emit(obj, flags["output"])
    else:
        say(f"{kind.full_name(name_of(obj))} {dry.told(word, flags['dry_run'])}")


async def apply_patch(
    session: Session, kind: Kind, obj: Object, source: str, flags: Any, remember: bool = True
) -> tuple[Object, str]:
    """Make the object as the file says, by a patch of our own; returns it, and kubectl's word for what was done."""
    resource, where = session.resource(kind), session.where(kind) and namespace_of(obj)
    wanted = last_applied.remembering(obj) if remember else obj
    tried, manager = flags["dry_run"] == "server", flags["field_manager"] or last_applied.MANAGER
    try:
        current = await resource.get(name_of(obj), where)
    except NotFound:
        if flags["dry_run"] == "client":
            return wanted, "created"
        with manifests.in_file("creating", source):
            return await resource.create(wanted, dry_run=tried, field_manager=manager), "created"
    before = last_applied.remembered(current)
    if before is None and remember:
        warn(MISSING.format(f"{kind.plural}/{name_of(obj)}", last_applied.ANNOTATION))
    schema = last_applied.schema_of(kind)
    change = three_way.patch(before or {}, wanted, current, *(() if schema is None else (schema,)))
    if not change:
        return current, "unchanged"
    if flags["dry_run"] == "client":
        return current, "configured"
    with manifests.in_file("applying patch to", source):
        form: Any = "merge" if schema is None else "strategic"
        done = await resource.patch(
            name_of(obj), change, where, type=form, field_manager=manager, dry_run=tried
        )
    return done, "configured"


async def _by_the_server(session: Session, kind: Kind, obj: Object, flags: Any) -> Object:
    resource, tried = session.resource(kind), flags["dry_run"] == "server"
    manager = flags["field_manager"] or FIELD_MANAGER
    if not tried:
        await _take_over(session, kind, obj, manager)
    try:
        return await resource.apply(obj, field_manager=manager, force=flags["force_conflicts"], dry_run=tried)
    except Conflict as error:
        raise CommandFailed(error.message + CONFLICT) from error


async def _take_over(session: Session, kind: Kind, obj: Object, manager: str) -> None:
    """What was applied by the client's side belongs to who applies by the server's from now on."""
    resource, where = session.resource(kind), namespace_of(obj)
    try:
        current = await resource.get(name_of(obj), where)
    except NotFound:
        return
    if taken_over(fields := _managed(current), manager) == fields:
        return
    note = (current["metadata"].get("annotations") or {}).get(last_applied.ANNOTATION)
    if note is not None and manager == FIELD_MANAGER:
        # It would go with what is not applied any more: somebody else owns it first.
        own = {"name": name_of(obj), "annotations": {last_applied.ANNOTATION: note}}
        own |= {"namespace": where} if where else {}
        body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": own}
        current = await resource.apply(body, field_manager=f"{FIELD_MANAGER}-last-applied", force=True)
    if (after := taken_over(fields := _managed(current), manager)) != fields:
        version = current["metadata"]["resourceVersion"]
        change = [
            {"op": "replace", "path": "/metadata/managedFields", "value": after},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
        ]
        await resource.patch(name_of(obj), change, where, type="json")


def _managed(obj: Object) -> list[Object]:
    found: list[Object] = obj["metadata"].get("managedFields") or []
    return found


def taken_over(entries: Sequence[Object], manager: str) -> list[Object]:
    """Managed fields in which a manager owns by Apply what the client's side owned by Update."""
    old = [each for each in entries if _is_of(each, last_applied.MANAGER, "Update")]
    if not old:
        return list(entries)
    own = [each for each in entries if _is_of(each, manager, "Apply")]
    fields: Object = {}
    for each in (*own, *old):
        _unite(fields, each.get("fieldsV1") or {})
    (fields.get("f:metadata", {}).get("f:annotations", {})).pop(f"f:{last_applied.ANNOTATION}", None)
    made = {**(own or old)[0], "manager": manager, "operation": "Apply", "fieldsV1": fields}
    return [made, *(each for each in entries if each not in own and each not in old)]


def _is_of(entry: Object, manager: str, operation: str) -> bool:
    return entry["manager"] == manager and entry["operation"] == operation and not entry.get("subresource")


def _unite(fields: Object, others: Object) -> None:
    for key, below in others.items():
        _unite(fields.setdefault(key, {}), below)


def place(session: Session, kind: Kind, obj: Object) -> None:
    """Put an object into the namespace of the session, unless it names its own."""
    if not kind.namespaced:
        return
    metadata = obj.setdefault("metadata", {})
    own = metadata.get("namespace")
    if own and session.namespace_given and own != session.namespace:
        raise CommandFailed(
            f'the namespace from the provided object "{own}" does not match the namespace '
            f"\"{session.namespace}\". You must pass '--namespace={own}' to perform this operation."
        )
    metadata.setdefault("namespace", session.namespace)
