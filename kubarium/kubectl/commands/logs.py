"""`kubectl logs`: of one container or of many, followed or not."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import click

from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.component_base.options import parse_duration
from kubarium.kubectl.commandline import command
from kubarium.kubectl.pods import container_of, pods_of
from kubarium.kubectl.session import CommandFailed, Session, warn, with_session


@command()
@click.argument("words", nargs=-1)
@click.option("-l", "--selector", default="")
@click.option("-c", "--container", default="")
@click.option("--all-containers", is_flag=True)
@click.option("-f", "--follow", is_flag=True)
@click.option("-p", "--previous", is_flag=True)
@click.option("--tail", default=-1, type=int)
@click.option("--since", default="")
@click.option("--since-time", default="")
@click.option("--limit-bytes", default=0, type=int)
@click.option("--timestamps", is_flag=True)
@click.option("--prefix", is_flag=True)
@with_session
async def logs(session: Session, words: tuple[str, ...], **flags: Any) -> None:
    """Print the logs for a container in a pod."""
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


async def pods_to_read(session: Session, words: tuple[str, ...], flags: Any) -> list[Object]:
    """The pods of a selector, or the one that is meant; of several behind one word that is said."""
    if flags["selector"]:
        pods = session.client.resource("v1", "pods")
        found: list[Object] = (await pods.list(session.namespace, label_selector=flags["selector"]))["items"]
        return found
    if not words:
        raise CommandFailed("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.")
    if len(words) > 1:
        flags["container"] = flags["container"] or words[1]
    found = await pods_of(session, words[0])
    if len(found) > 1:
        warn(f"Found {len(found)} pods, using pod/{name_of(found[0])}")
    return found[:1]


def _containers(pod: Object, flags: Any) -> list[str]:
    if flags["all_containers"]:
        spec = pod["spec"]
        return [each["name"] for each in [*(spec.get("initContainers") or []), *spec["containers"]]]
    return [container_of(pod, flags["container"])]


async def _print(session: Session, pod: Object, container: str, flags: Any) -> None:
    query = {
        "container": container,
        "follow": flags["follow"] or None,
        "previous": flags["previous"] or None,
        "tailLines": flags["tail"] if flags["tail"] >= 0 else None,
        "sinceSeconds": int(parse_duration(flags["since"])) if flags["since"] else None,
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
    flags = {"follow": follow, "previous": False, "tail": -1, "since": "", "since_time": ""}
    await _print(session, pod, container, flags | {"limit_bytes": 0, "timestamps": False, "prefix": False})


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
