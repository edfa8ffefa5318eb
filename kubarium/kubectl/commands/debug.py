"""`kubectl debug`: a container of one's own choice inside a running pod, or on a node.

Source: https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/
"""

from __future__ import annotations

import random
import string
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.exec import attach_to
from kubarium.kubectl.names import Target
from kubarium.kubectl.pods import pod_of, until_started
from kubarium.kubectl.session import FIELD_MANAGER, CommandFailed, Session, warn, with_session


@command()
@click.argument("word")
@click.argument("command", nargs=-1)
@click.option("--image", required=True)
@click.option("-i", "--stdin", is_flag=True)
@click.option("-t", "--tty", "terminal", is_flag=True)
@click.option("-c", "--container", default="")
@click.option("--target", default="")
@click.option("--attach/--no-attach", default=None)
@click.option("-q", "--quiet", is_flag=True)
@click.option("--profile", default="general", hidden=True)
@click.option("--env", "variables", multiple=True)
@click.option("--image-pull-policy", default="")
@with_session
async def debug(session: Session, word: str, command: tuple[str, ...], **flags: Any) -> None:
    """Create debugging sessions for troubleshooting workloads and nodes."""
    container = debugger(command, flags)
    target = (await session.names.targets([word]))[0] if "/" in word else None
    if target is not None and target.kind.plural == "nodes":
        pod = await _on_node(session, target, container, flags)
    else:
        pod = await _in_pod(session, await pod_of(session, word), container, flags)
    if flags["stdin"] if flags["attach"] is None else flags["attach"]:
        pod = await until_started(session, pod, container["name"])
        code = await attach_to(session, pod, container["name"], flags["stdin"], flags["terminal"])
        if code:
            raise SystemExit(code)


def debugger(command: tuple[str, ...], flags: Any) -> Object:
    """The container that one looks with."""
    container: Object = {
        "name": flags["container"] or f"debugger-{_suffix()}",
        "image": flags["image"],
        "stdin": flags["stdin"],
        "tty": flags["terminal"],
        "terminationMessagePolicy": "File",
    }
    if command:
        container["command"] = list(command)
    if flags["image_pull_policy"]:
        container["imagePullPolicy"] = flags["image_pull_policy"]
    if flags["variables"]:
        pairs = [word.partition("=") for word in flags["variables"]]
        container["env"] = [{"name": name, "value": value} for name, _, value in pairs]
    return container


def node_debugger(node: str, container: Object) -> Object:
    """A pod on a node, in its namespaces, with all of its disk under /host; nothing keeps it away."""
    container = {**container, "volumeMounts": [{"name": "host-root", "mountPath": "/host"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"node-debugger-{node}-{_suffix()}"},
        "spec": {
            "nodeName": node,
            "restartPolicy": "Never",
            "hostIPC": True,
            "hostNetwork": True,
            "hostPID": True,
            "tolerations": [{"operator": "Exists"}],
            "containers": [container],
            "volumes": [{"name": "host-root", "hostPath": {"path": "/"}}],
        },
    }


async def _on_node(session: Session, target: Target, container: Object, flags: Any) -> Object:
    await session.resource(target.kind).get(target.name)
    pod = node_debugger(target.name, {**container, "name": flags["container"] or "debugger"})
    container["name"] = flags["container"] or "debugger"
    made = await session.client.resource("v1", "pods").create(pod, session.namespace)
    if not flags["quiet"]:
        warn(
            f"Creating debugging pod {name_of(made)} with container {container['name']} on node {target.name}."
        )
    return made


async def _in_pod(session: Session, pod: Object, container: Object, flags: Any) -> Object:
    if flags["target"]:
        container["targetContainerName"] = flags["target"]
        if not flags["quiet"]:
            warn(
                f'Targeting container "{flags["target"]}". If you don\'t see processes from this container '
                "it may be because the container runtime doesn't support this feature."
            )
    if not flags["container"] and not flags["quiet"]:
        warn(f"Defaulting debug container name to {container['name']}.")
    taken = [each["name"] for each in pod["spec"].get("ephemeralContainers") or ()]
    if container["name"] in taken:
        raise CommandFailed(f'container "{container["name"]}" already exists in pod {name_of(pod)}')
    return await session.client.resource("v1", "pods").patch(
        name_of(pod),
        {"spec": {"ephemeralContainers": [container]}},
        namespace_of(pod),
        type="strategic",
        subresource="ephemeralcontainers",
        field_manager=FIELD_MANAGER,
    )


def _suffix() -> str:
    return "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
