"""`kubectl run`: a pod from a few words; with `-it --rm` one to look around with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import click
import yaml

from kubarium.api.core.pod import status
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of, status_of
from kubarium.apimachinery.patch import json_patch, merge_patch, strategic_merge_patch
from kubarium.apimachinery.schema.structural import ANY
from kubarium.kubectl import last_applied
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.create import container_of, make, with_output
from kubarium.kubectl.commands.delete import until_gone
from kubarium.kubectl.commands.exec import attach_to
from kubarium.kubectl.commands.expose import service_for
from kubarium.kubectl.commands.logs import print_log
from kubarium.kubectl.pods import until_started
from kubarium.kubectl.session import CommandFailed, Session, misused, say, warn, with_session

MANAGER = "kubectl-run"
POLICIES = ("Always", "OnFailure", "Never")


@command()
@click.option("--image", required=True, help="The image of the container.")
@click.argument("name")
@click.option("--port", default=None, type=int, help="The port that the container listens at.")
@click.option("-l", "--labels", default="", help="a=1,b=2")
@click.option("--annotations", multiple=True, help="a=1")
@click.option("--env", multiple=True, help="NAME=value")
@click.option("--restart", default="Always", help="One of: Always, OnFailure, Never.")
@click.option("--image-pull-policy", default="")
@click.option(
    "--command", "as_command", is_flag=True, help="What follows -- is the command, not its arguments."
)
@click.option("--privileged", is_flag=True)
@click.option("--overrides", default="", help="A patch of the pod, in JSON.")
@click.option("--override-type", default="merge", help="One of: json, merge, strategic.")
@click.option("--expose", is_flag=True, help="Make a service for the port, too.")
@click.option("-i", "--stdin", is_flag=True, help="Pass what is typed on to the container.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give the container a terminal.")
@click.option("--attach/--no-attach", default=None)
@click.option("--rm", "remove", is_flag=True, help="Delete the pod at the end.")
@click.option("-q", "--quiet", is_flag=True)
@with_output
@click.argument("words", nargs=-1)
@with_session
async def run(session: Session, name: str, words: tuple[str, ...], **flags: Any) -> None:
    """Run a particular image on the cluster."""
    attached = flags["attach"] if flags["attach"] is not None else flags["stdin"] or flags["terminal"]
    check(flags, attached)
    made = pod_of_flags(name, words, flags)
    if flags["overrides"]:
        made = overridden(made, flags["overrides"], flags["override_type"])
    if flags["expose"]:
        service = service_for(name, {"run": name}, flags["port"])
        await make(session, service, flags["dry_run"], flags["output"], manager=MANAGER)
        if flags["output"] == "yaml":
            say("---")
    pod = await make(
        session, made, flags["dry_run"], flags["output"], "" if attached else "created", manager=MANAGER
    )
    if attached:
        await accompany(session, pod, pod["spec"]["containers"][0]["name"], flags)
        code = 0 if flags["restart"] == "Always" else await _exit_code(session, pod)
        if flags["remove"]:
            await _remove(session, pod, flags["quiet"])
        if code:
            raise SystemExit(code)


def check(flags: Mapping[str, Any], attached: bool) -> None:
    """Do the flags fit? Raises CommandFailed."""
    if flags["restart"] not in POLICIES:
        raise misused(f"invalid restart policy: {flags['restart']}")
    if flags["remove"] and not attached:
        raise misused("--rm should only be used for attached containers")
    if flags["expose"] and flags["port"] is None:
        raise misused("--port must be set when exposing a service")
    if attached and flags["dry_run"] != "none":
        raise misused(
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)"
        )


def pod_of_flags(name: str, words: tuple[str, ...], flags: Mapping[str, Any]) -> Object:
    """The pod that is asked for."""
    container = container_of(name, flags["image"], (), flags["port"])
    if words:
        container["command" if flags["as_command"] else "args"] = list(words)
    if flags["env"]:
        pairs = [each.partition("=") for each in flags["env"]]
        container["env"] = [{"name": key, "value": value} for key, _, value in pairs]
    for field, wanted in (
        ("imagePullPolicy", flags["image_pull_policy"]),
        ("stdin", flags["stdin"]),
        ("stdinOnce", flags["stdin"]),
        ("tty", flags["terminal"]),
        ("securityContext", {"privileged": True} if flags["privileged"] else None),
    ):
        if wanted:
            container[field] = wanted
    labels = dict(each.split("=", 1) for each in flags["labels"].split(",") if each) or {"run": name}
    metadata: Object = {"name": name, "labels": labels}
    if flags["annotations"]:
        metadata["annotations"] = dict(each.split("=", 1) for each in flags["annotations"])
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": flags["restart"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def overridden(pod: Object, text: str, form: str) -> Object:
    """The pod with a patch applied. Raises CommandFailed."""
    try:
        patch = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CommandFailed(f"invalid JSON: {error}") from error
    if form == "json":
        made: Object = json_patch.apply(pod, patch)
        return made
    if form == "strategic":
        schema = last_applied.schema_named("", "v1", "Pod")
        return strategic_merge_patch.apply(pod, patch, schema or ANY)
    return merge_patch.apply(pod, patch)


async def accompany(session: Session, pod: Object, container: str, flags: Mapping[str, Any]) -> None:
    """Join the container until it ends; what it wrote before is in its log."""
    if not flags["quiet"]:
        warn(
            "All commands and output from this session will be recorded in container logs, including credentials and "
            "sensitive information passed through the command prompt."
        )
        warn("If you don't see a command prompt, try pressing enter.")
    pod = await until_started(session, pod, container)
    if status.is_terminal(pod):
        await print_log(session, pod, container)
    else:
        try:
            await attach_to(session, pod, container, flags["stdin"], flags["terminal"])
        except (StatusError, ConnectionError) as error:
            warn(f"warning: couldn't attach to pod/{name_of(pod)}, falling back to streaming logs: {error}")
            await print_log(session, pod, container, follow=True)


async def _exit_code(session: Session, pod: Object) -> int:
    pods = session.client.resource("v1", "pods")
    while not status.is_terminal(pod):
        await asyncio.sleep(0.2)
        pod = await pods.get(name_of(pod), namespace_of(pod))
    if status.phase_of(pod) == "Succeeded":
        return 0
    ended = [
        each.get("state", {}).get("terminated") or {}
        for each in status_of(pod).get("containerStatuses") or []
    ]
    wrong = next((each for each in ended if each.get("exitCode")), {})
    warn(f"pod {namespace_of(pod)}/{name_of(pod)} terminated ({wrong.get('reason') or 'Error'})")
    return int(wrong.get("exitCode") or 1)


async def _remove(session: Session, pod: Object, quiet: bool) -> None:
    kind = await session.names.of_object({"apiVersion": "v1", "kind": "Pod"})
    await session.resource(kind).delete(name_of(pod), namespace_of(pod))
    if not quiet:
        say(f'pod "{name_of(pod)}" deleted from {namespace_of(pod)} namespace')
    await until_gone(session, kind, pod)
