"""`kubectl cp`: files into a container and out of it, as an archive through `exec`; the image must have `tar`."""

from __future__ import annotations

import asyncio
import io
import os
import posixpath
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import click
import orjson

from kubarium.apimachinery.object import Object
from kubarium.client import streams
from kubarium.kubectl.commandline import command
from kubarium.kubectl.commands.exec import open_exec
from kubarium.kubectl.pods import container_of, pod_of
from kubarium.kubectl.session import CommandFailed, Session, warn, with_session

PIECE = 32 * 1024  # bytes of one message


@dataclass(frozen=True)
class Place:
    """`namespace/pod:path`, or a path on this machine."""

    pod: str
    namespace: str
    path: str


@command()
@click.argument("source")
@click.argument("destination")
@click.option("-c", "--container", default="")
@with_session
async def cp(session: Session, source: str, destination: str, container: str) -> None:
    """Copy files and directories to and from containers."""
    here, there = place(source), place(destination)
    if here.pod and there.pod:
        raise CommandFailed("one of src or dest must be a local file specification")
    if not here.pod and not there.pod:
        raise CommandFailed("one of src or dest must be a remote file specification")
    if not here.path or not there.path:
        raise CommandFailed("filepath can not be empty")
    remote = here if here.pod else there
    if remote.namespace:
        session = session.within(remote.namespace)
    pod = await pod_of(session, remote.pod)
    container = container_of(pod, container)
    if here.pod:
        await _fetch(session, pod, container, here.path, Path(there.path))
    else:
        await _bring(session, pod, container, Path(here.path), there.path)


def place(text: str) -> Place:
    """Read a place; a colon behind something that is no path names a pod."""
    head, colon, path = text.partition(":")
    if not colon or head.startswith((".", "/")):
        return Place("", "", text)
    namespace, _, pod = head.rpartition("/")
    if "/" in namespace or not pod:
        raise CommandFailed(
            "source and destination must be file paths or in the form [[namespace/]pod:]file/path"
        )
    return Place(pod, namespace, path)


async def _bring(session: Session, pod: Object, container: str, source: Path, target: str) -> None:
    own_name = _name_of(source)
    target = target if target == "/" else target.rstrip("/")
    if await _run(session, pod, container, ["test", "-d", target]) == 0:
        target = posixpath.join(target, own_name)
    folder, name = posixpath.split(target)
    command = ["tar", "-xmf", "-", *(["-C", folder] if folder else [])]
    stream = await open_exec(session, pod, container, command, stdin=True)
    try:
        answer = asyncio.ensure_future(_outcome(stream))
        archive = await asyncio.to_thread(pack, source, name)
        for start in range(0, len(archive), PIECE):
            await stream.send(streams.STDIN, archive[start : start + PIECE])
        await stream.close_channel(streams.STDIN)
        code = await answer
    finally:
        await stream.close()
    if code:
        raise CommandFailed(f"command terminated with exit code {code}")


async def _fetch(session: Session, pod: Object, container: str, source: str, target: Path) -> None:
    stream = await open_exec(session, pod, container, ["tar", "cf", "-", source])
    archive, codes = io.BytesIO(), [0]
    try:
        async for data in _output(stream, codes):
            archive.write(data)
    finally:
        await stream.close()
    if codes[0] and not archive.tell():
        raise CommandFailed(f"command terminated with exit code {codes[0]}")
    archive.seek(0)
    await asyncio.to_thread(unpack, archive, source, _destination(target, source))


async def _run(session: Session, pod: Object, container: str, command: list[str]) -> int:
    """A question to the container; what it prints does not matter."""
    stream = await open_exec(session, pod, container, command)
    codes = [0]
    try:
        async for _ in _output(stream, codes):
            pass
    finally:
        await stream.close()
    return codes[0]


async def _outcome(stream: streams.Stream) -> int:
    codes = [0]
    async for _ in _output(stream, codes):
        pass
    return codes[0]


async def _output(stream: streams.Stream, codes: list[int]) -> AsyncIterator[bytes]:
    """Standard output; errors go to ours, the exit code into `codes`."""
    async for channel, data in stream.messages():
        if channel == streams.STDOUT:
            yield data
        elif channel == streams.STDERR and data:
            warn(data.decode(errors="replace").rstrip("\n"))
        elif channel == streams.ERROR:
            codes[0] = streams.exit_code(orjson.loads(data))


def pack(source: Path, name: str) -> bytes:
    """A file or a folder as an archive in which it is called `name`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(source, arcname=name)
    return buffer.getvalue()


def unpack(archive: io.BytesIO, source: str, target: Path) -> None:
    """Write what lies below `source` in the archive to `target`; nothing is written anywhere else.

    Links are left out, as upstream does: they could lead out of the target.
    """
    prefix = posixpath.normpath(source.lstrip("/"))
    with tarfile.open(fileobj=archive) as members:
        for member in members:
            inside = posixpath.relpath(posixpath.normpath(member.name.lstrip("/")), prefix)
            if inside.startswith(".."):
                warn(f'warning: file "{member.name}" is outside target destination, skipping')
                continue
            path = target if inside == "." else target / inside
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.isfile():
                path.parent.mkdir(parents=True, exist_ok=True)
                content = members.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
                os.chmod(path, member.mode & 0o777)
            else:
                warn(f'warning: skipping symlink: "{path}" -> "{member.linkname}"')


def _name_of(source: Path) -> str:
    """How the file is called, also when it was named by dots. Raises CommandFailed."""
    if not source.exists():
        raise CommandFailed(f"{source} doesn't exist in local filesystem")
    return source.resolve().name


def _destination(target: Path, source: str) -> Path:
    """A file that goes into a folder keeps its name."""
    return target / posixpath.basename(source.rstrip("/")) if target.is_dir() else target
