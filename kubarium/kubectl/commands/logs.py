"""`kubectl logs`: of one container or of many, followed or not."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import Any

import click

from kubarium.apimachinery.errors import NotFound
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.kubectl.commandline import Duration, command
from kubarium.kubectl.pods import container_of, pods_of
from kubarium.kubectl.session import CommandFailed, Session, misused, warn, with_session

USAGE = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'."


@command()
@click.argument("words", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("-c", "--container", default="")
@click.option("--all-containers", is_flag=True)
@click.option("--all-pods", is_flag=True)
@click.option("-f", "--follow", is_flag=True)
@click.option("-p", "--previous", is_flag=True)
@click.option("--tail", default=None, type=int)
@click.option("--since", default="0s", type=Duration())
@click.option("--since-time", default="")
@click.option("--limit-bytes", default=0, type=int)
@click.option("--timestamps", is_flag=True)
@click.option("--prefix", is_flag=True)
@with_session
async def logs(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Print the logs for a container in a pod."""
    _check(words, flags)
    sources = [
        (pod, container)
        for pod in await pods_to_read(session, words, flags)
        for container in _containers(pod, flags)
    ]
    if flags["follow"]:
        await asyncio.gather(*(_print(session, pod, container, flags) for pod, container in sources))
    else:
        for pod, container in sources:
            await _print(session, pod, container, flags)


def _check(words: tuple[str, ...], flags: Any) -> None:
    """Raises CommandFailed for words that contradict each other."""
    if flags["selector"] and words:
        raise misused("only a selector (-l) or a POD name is allowed")
    if not words and not flags["selector"]:
        raise misused(f"{USAGE}\nPOD or TYPE/NAME is a required argument for the logs command")
    container = flags["container"] or "".join(words[1:2])
    if flags["all_containers"] and container:
        raise CommandFailed(f"--all-containers=true should not be specified with container name {container}")
    if flags["since"] and flags["since_time"]:
        raise CommandFailed("at most one of `sinceTime` or `sinceSeconds` may be specified")
    if flags["tail"] is None:
        flags["tail"] = 10 if flags["selector"] else -1
    if flags["tail"] < -1:
        raise CommandFailed("--tail must be greater than or equal to -1")
    if flags["all_pods"]:
        flags["prefix"] = True


async def pods_to_read(session: Session, words: tuple[str, ...], flags: Any) -> list[Object]:
    """The pods of a selector, or the one that is meant; of several behind one word that is said."""
    if flags["selector"]:
        pods = session.client.resource("v1", "pods")
        found: list[Object] = (await pods.list(session.namespace, label_selector=flags["selector"]))["items"]
        if not found:
            warn(f"No resources found in {session.namespace} namespace.")
        return found
    if len(words) > 1:
        flags["container"] = flags["container"] or words[1]
    try:
        found = await pods_of(session, words[0])
    except NotFound as error:
        where = session.namespace
        raise CommandFailed(
            f'error from server (NotFound): {error.message} in namespace "{where}"'
        ) from error
    if flags.get("all_pods"):
        return found
    if len(found) > 1:
        warn(f"Found {len(found)} pods, using pod/{name_of(found[0])}")
    return found[:1]


def _containers(pod: Object, flags: Any) -> list[str]:
    if flags["all_containers"]:
        spec = pod["spec"]
        return [each["name"] for each in [*(spec.get("initContainers") or []), *spec["containers"]]]
    return [container_of(pod, flags["container"], quiet=flags["all_pods"])]


async def _print(session: Session, pod: Object, container: str, flags: Any) -> None:
    query = {
        "container": container,
        "follow": flags["follow"] or None,
        "previous": flags["previous"] or None,
        "tailLines": flags["tail"] if flags["tail"] >= 0 else None,
        "sinceSeconds": math.ceil(flags["since"]) or None,
        "sinceTime": flags["since_time"] or None,
        "limitBytes": flags["limit_bytes"] or None,
        "timestamps": flags["timestamps"] or None,
    }
    path = session.client.resource("v1", "pods").path(namespace_of(pod), name_of(pod), "log")
    prefix = f"[pod/{name_of(pod)}/{container}] ".encode() if flags["prefix"] else b""
    async with session.client.stream("GET", path, query=query) as answer:
        rest = b""
        async for chunk in answer.chunks():
            if not prefix:
                _write(chunk)
                continue
            *lines, rest = (rest + chunk).split(b"\n")
            _write(b"".join(prefix + line + b"\n" for line in lines))
        if rest:
            _write(prefix + rest)


async def print_log(session: Session, pod: Object, container: str, follow: bool = False) -> None:
    """The whole log of a container."""
    flags = {"follow": follow, "previous": False, "tail": -1, "since": 0.0, "since_time": ""}
    await _print(session, pod, container, flags | {"limit_bytes": 0, "timestamps": False, "prefix": False})


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
