"""`kubectl create`: new objects from files or from a few words.

More of its subcommands stand in `create_access.py`, `create_data.py`, `create_networking.py`, `create_workloads.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import click

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of
from kubarium.component_base.options import parse_duration
from kubarium.kubectl import dry_run as dry
from kubarium.kubectl import last_applied, manifests, printers
from kubarium.kubectl.commandline import Group, command, group
from kubarium.kubectl.commands.apply import place
from kubarium.kubectl.generated import shown
from kubarium.kubectl.refusals import tell_failures
from kubarium.kubectl.session import (
    FIELD_MANAGER,
    CommandFailed,
    Session,
    say,
    validate_option,
    with_session,
)


def with_output(command: Any) -> Any:
    """`--dry-run`, `-o` and `--template`."""
    return dry.option(printers.with_output(command))


ALIASES = {
    "cj": "cronjob",
    "cm": "configmap",
    "deploy": "deployment",
    "ing": "ingress",
    "ns": "namespace",
    "pc": "priorityclass",
    "pdb": "poddisruptionbudget",
    "resourcequota": "quota",
    "sa": "serviceaccount",
    "svc": "service",
}


# How a refusal begins of what a few words made: of some kinds only.
FAILED = {
    "ClusterRoleBinding": "clusterrolebinding:",
    "ConfigMap": "configmap:",
    "CronJob": "cronjob:",
    "Deployment": "deployment:",
    "Ingress": "ingress:",
    "Job": "job:",
    "PodDisruptionBudget": "poddisruptionbudgets:",
    "PriorityClass": "priorityclass:",
    "ResourceQuota": "quota:",
    "RoleBinding": "rolebinding:",
    "Secret": "secret",
    "Service": "{type} service:",
    "ServiceAccount": "serviceaccount:",
}


class Kinds(Group):
    """The kinds that can be made from a few words, by their long and short names."""

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        return super().get_command(context, ALIASES.get(name, name))


@group(cls=Kinds, invoke_without_command=True)
@click.option("-f", "--filename", "files", multiple=True)
@click.option("-R", "--recursive", is_flag=True)
@click.option("-k", "--kustomize", default="")
@click.option("-l", "--selector", default="")
@click.option("--save-config", is_flag=True)
@validate_option
@with_output
@click.pass_context
def create(context: click.Context, /, **flags: Any) -> None:
    """Create a resource from a file or from stdin."""
    if context.invoked_subcommand is None:
        if not flags["files"] and not flags["kustomize"]:
            raise CommandFailed("must specify one of -f and -k")
        context.invoke(_from_files, flags=flags)


@command()
@with_session
async def _from_files(session: Session, flags: Any) -> None:
    failures: list[StatusError] = []
    objects = manifests.chosen(
        flags["files"], flags["kustomize"], flags["recursive"], flags["selector"], "create"
    )
    for obj, source in objects:
        kept = last_applied.remembering(obj) if flags["save_config"] else obj
        try:
            await make(session, kept, flags["dry_run"], flags["output"], source=source)
        except StatusError as error:
            failures.append(error)
    tell_failures(failures)


@create.command()
@click.argument("name")
@with_output
@with_session
async def namespace(session: Session, name: str, dry_run: str, output: str) -> None:
    """Create a namespace."""
    await make(
        session, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry_run, output
    )


@create.command()
@click.argument("name")
@click.option("--image", multiple=True, required=True)
@click.option("--replicas", default=1)
@click.option("--port", default=None, type=int)
@with_output
@click.argument("command", nargs=-1)
@with_session
async def deployment(
    session: Session,
    name: str,
    image: tuple[str, ...],
    replicas: int,
    port: int | None,
    command: tuple[str, ...],
    dry_run: str,
    output: str,
) -> None:
    """Create a deployment."""
    labels = {"app": name}
    containers = [container_of(_image_name(each), each, command, port) for each in image]
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }
    await make(session, obj, dry_run, output)


@create.command()
@click.argument("name")
@with_output
@with_session
async def serviceaccount(session: Session, name: str, dry_run: str, output: str) -> None:
    """Create a service account."""
    obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    await make(session, obj, dry_run, output)


@create.command()
@click.argument("name")
@click.option("--duration", default="0s", help="How long it is to be valid.")
@click.option("--audience", multiple=True, help="Whom it is for.")
@click.option(
    "--bound-object-kind", default="", help="Valid while this object is there: Pod, Secret or Node."
)
@click.option("--bound-object-name", default="")
@click.option("--bound-object-uid", default="")
@printers.with_output
@with_session
async def token(session: Session, name: str, **flags: Any) -> None:
    """Request a service account token."""
    seconds = int(parse_duration(flags["duration"]))
    spec: Object = {"expirationSeconds": seconds} if seconds else {}
    spec |= {"audiences": list(flags["audience"])} if flags["audience"] else {}
    kind, bound = flags["bound_object_kind"], flags["bound_object_name"]
    if bool(kind) != bool(bound):
        missing = "kind" if bound else "name"
        given = "name" if bound else "kind"
        raise CommandFailed(f"--bound-object-{missing} is required if --bound-object-{given} is provided")
    if kind:
        uid = {"uid": flags["bound_object_uid"]} if flags["bound_object_uid"] else {}
        spec["boundObjectRef"] = {"kind": kind, "apiVersion": "v1", "name": bound, **uid}
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    accounts = session.client.resource("v1", "serviceaccounts")
    try:
        made = await accounts.create(request, session.namespace, name=name, subresource="token")
    except StatusError as error:
        raise CommandFailed(f"failed to create token: {error.message}") from error
    if flags["output"]:
        printers.emit(made, flags["output"])
    else:
        say(made["status"]["token"])


async def make(
    session: Session,
    obj: Object,
    dry_run: str,
    output: str,
    word: str = "created",
    manager: str = f"{FIELD_MANAGER}-create",
    source: str = "",
) -> Object:
    """Create an object and say so, or print it, or do neither: as `--dry-run` and `-o` say."""
    kind = await session.names.of_object(obj, source)
    if dry_run == "client":
        obj = obj if source else shown(obj)
        if session.namespace_given or source:
            place(session, kind, obj)
    else:
        place(session, kind, obj)
        with manifests.in_file("creating", source) if source else contextlib.nullcontext():
            try:
                obj = await session.resource(kind).create(
                    obj, dry_run=dry_run == "server", field_manager=manager
                )
            except StatusError as error:
                if source or word != "created" or kind.kind not in FAILED:
                    raise
                noun = FAILED[kind.kind].format(type=(obj.get("spec") or {}).get("type"))
                raise CommandFailed(f"failed to create {noun} {error.message}") from error
    if output == "name":
        say(kind.full_name(name_of(obj)))
    elif output:
        printers.emit(obj, output)
    elif word:
        say(f"{kind.full_name(name_of(obj))} {dry.told(word, dry_run)}")
    return obj


def container_of(name: str, image: str, command: Sequence[str], port: int | None) -> Object:
    container: Object = {"name": name, "image": image}
    if command:
        container["command"] = list(command)
    if port is not None:
        container["ports"] = [{"containerPort": port}]
    return container


def _image_name(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0].partition("@")[0]
