"""`kubectl debug`: a container of one's own choice inside a running pod, or on a node.

Source: https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/
"""

from __future__ import annotations

from typing import Any

import click

from kubarium.apimachinery import names
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl import debug_profiles
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.run import accompany
from kubarium.kubectl.names import Target
from kubarium.kubectl.pods import pod_of
from kubarium.kubectl.session import FIELD_MANAGER, CommandFailed, Session, say, with_session


@command()
@click.argument("word")
@click.argument("command", nargs=-1)
@click.option("--image", default="")
@click.option("-i", "--stdin", is_flag=True)
@click.option("-t", "--tty", "terminal", is_flag=True)
@click.option("-c", "--container", default="")
@click.option("--target", default="")
@click.option("--attach/--no-attach", default=None)
@click.option("-q", "--quiet", is_flag=True)
@click.option("--profile", default="general")
@click.option("--env", "variables", multiple=True)
@click.option("--image-pull-policy", default="")
@click.option("--arguments-only", is_flag=True)
@click.option("--copy-to", default="")
@click.option("--replace", is_flag=True)
@click.option("--same-node", is_flag=True)
@click.option("--set-image", "images", multiple=True)
@click.option("--share-processes/--no-share-processes", default=None)
@click.option("--keep-annotations", is_flag=True)
@click.option("--keep-labels", is_flag=True)
@click.option("--keep-liveness", is_flag=True)
@click.option("--keep-readiness", is_flag=True)
@click.option("--keep-startup", is_flag=True)
@click.option("--keep-init-containers/--no-keep-init-containers", default=True)
@with_session
async def debug(session: Session, word: str, command: tuple[str, ...], **flags: Any) -> None:
    """Create debugging sessions for troubleshooting workloads and nodes."""
    check(command, flags)
    container = debugger(command, flags)
    target = (await session.names.targets([word]))[0] if "/" in word else None
    if target is not None and target.kind.plural == "nodes":
        pod = await _on_node(session, target, container, flags)
    elif flags["copy_to"]:
        pod = await _copy(session, await pod_of(session, word), container, flags)
    else:
        pod = await _in_pod(session, await pod_of(session, word), container, flags)
    if flags["stdin"] if flags["attach"] is None else flags["attach"]:
        await accompany(session, pod, container["name"], flags)


def check(command: tuple[str, ...], flags: Any) -> None:
    """Do the flags go together?"""
    debug_profiles.checked(flags["profile"])
    if flags["copy_to"]:
        if not (flags["image"] or flags["images"] or command):
            raise CommandFailed("you must specify --image, --set-image or command arguments.")
        return
    for name, given in (("replace", "replace"), ("same-node", "same_node"), ("set-image", "images")):
        if flags[given]:
            raise CommandFailed(f"--{name} may only be used with --copy-to.")
    if not flags["image"]:
        raise CommandFailed("you must specify --image when not using --copy-to.")


def debugger(command: tuple[str, ...], flags: Any) -> Object:
    """The container that one looks with."""
    container: Object = {
        "name": flags["container"] or f"debugger-{names.random_suffix()}",
        "image": flags["image"],
        "stdin": flags["stdin"],
        "tty": flags["terminal"],
        "terminationMessagePolicy": "File",
    }
    if command:
        container["args" if flags["arguments_only"] else "command"] = list(command)
    if flags["image_pull_policy"]:
        container["imagePullPolicy"] = flags["image_pull_policy"]
    if flags["variables"]:
        pairs = [word.partition("=") for word in flags["variables"]]
        container["env"] = [{"name": name, "value": value} for name, _, value in pairs]
    return container


async def _on_node(session: Session, target: Target, container: Object, flags: Any) -> Object:
    await session.resource(target.kind).get(target.name)
    container["name"] = flags["container"] or "debugger"
    name = f"node-debugger-{target.name}-{names.random_suffix()}"
    pod = debug_profiles.on_node(target.name, name, container, flags["profile"])
    made = await session.client.resource("v1", "pods").create(pod, session.namespace)
    if not flags["quiet"]:
        say(
            f"Creating debugging pod {name_of(made)} with container {container['name']} on node {target.name}."
        )
    return made


async def _copy(session: Session, pod: Object, container: Object, flags: Any) -> Object:
    looks = flags["image"] or flags["container"]
    if looks and not flags["container"] and not flags["quiet"]:
        say(f"Defaulting debug container name to {container['name']}.")
    made = debug_profiles.copy_of(pod, container if looks else None, flags)
    pods = session.client.resource("v1", "pods")
    copied = await pods.create(made, namespace_of(pod), field_manager=FIELD_MANAGER)
    if flags["replace"]:
        await pods.delete(name_of(pod), namespace_of(pod), grace_period_seconds=0)
    return copied


async def _in_pod(session: Session, pod: Object, container: Object, flags: Any) -> Object:
    if flags["target"]:
        container["targetContainerName"] = flags["target"]
        if not flags["quiet"]:
            say(
                f'Targeting container "{flags["target"]}". If you don\'t see processes from this container '
                "it may be because the container runtime doesn't support this feature."
            )
    if not flags["container"] and not flags["quiet"]:
        say(f"Defaulting debug container name to {container['name']}.")
    taken = [each["name"] for each in pod["spec"].get("ephemeralContainers") or ()]
    if container["name"] in taken:
        raise CommandFailed(f'container "{container["name"]}" already exists in pod {name_of(pod)}')
    container = debug_profiles.with_rights(container, flags["profile"])
    order = [{"name": name} for name in (*taken, container["name"])]
    added = {"ephemeralContainers": [container], "$setElementOrder/ephemeralContainers": order}
    return await session.client.resource("v1", "pods").patch(
        name_of(pod),
        {"spec": added},
        namespace_of(pod),
        type="strategic",
        subresource="ephemeralcontainers",
        field_manager=FIELD_MANAGER,
    )
