"""`kubectl exec` and `attach`: a terminal into a container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Any

import click
import orjson

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client import streams
from kubarium.client.streams import Stream
from kubarium.kubectl import manifests
from kubarium.kubectl.commandline import AFTER_DASHES, command
from kubarium.kubectl.pods import container_of, pod_of
from kubarium.kubectl.session import CommandFailed, Session, misused, warn, with_session


@command("exec")
@click.option("-i", "--stdin", is_flag=True)
@click.option("-t", "--tty", "terminal", is_flag=True)
@click.option("-c", "--container", default="")
@click.option("-q", "--quiet", is_flag=True)
@click.option("-f", "--filename", default="")
@click.argument("given", metavar="POD", nargs=-1)
@with_session
async def exec_command(session: Session, given: tuple[str, ...], **flags: Any) -> None:
    """Execute a command in a container."""
    count = click.get_current_context().meta[AFTER_DASHES]
    before, words = given[: len(given) - count], list(given[len(given) - count :])
    if len(before) > (not flags["filename"]):
        raise misused("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
    if flags["filename"]:
        obj = manifests.read([flags["filename"]])[0]
        before = ((await session.names.of_object(obj)).full_name(name_of(obj)),)
    if not before:
        raise CommandFailed("pod, type/name or --filename must be specified")
    (pod,) = before
    if not words:
        raise CommandFailed("you must specify at least one command for the container")
    found = await pod_of(session, pod)
    container = container_of(found, flags["container"], flags["quiet"])
    code = await run_in_pod(session, found, container, words, flags["stdin"], flags["terminal"])
    if code:
        warn(f"command terminated with exit code {code}")
        raise SystemExit(code)


@command()
@click.option("-i", "--stdin", is_flag=True)
@click.option("-t", "--tty", "terminal", is_flag=True)
@click.option("-c", "--container", default="")
@click.argument("pod")
@with_session
async def attach(session: Session, pod: str, stdin: bool, terminal: bool, container: str) -> None:
    """Attach to a running container."""
    code = await attach_to(session, await pod_of(session, pod), container, stdin, terminal)
    if code:
        raise SystemExit(code)


async def attach_to(session: Session, pod: Object, container: str, stdin: bool, terminal: bool) -> int:
    """Join a running container with this process's own input and output; returns its exit code."""
    query = _query(container_of(pod, container), stdin, terminal)
    return await _converse(session, _path(session, pod, "attach"), query, stdin, terminal)


async def run_in_pod(
    session: Session,
    pod: Object,
    container: str,
    command: list[str],
    stdin: bool = False,
    terminal: bool = False,
) -> int:
    """Run a command with this process's own input and output; returns its exit code."""
    query = _query(container_of(pod, container), stdin, terminal) | {"command": command}
    return await _converse(session, _path(session, pod, "exec"), query, stdin, terminal)


async def open_exec(
    session: Session, pod: Object, container: str, command: list[str], stdin: bool = False
) -> Stream:
    """Run a command in a container; its streams are the caller's, who closes them."""
    query = _query(container_of(pod, container), stdin, False) | {"command": command}
    return await streams.open_stream(session.client, _path(session, pod, "exec"), query)


def _path(session: Session, pod: Object, subresource: str) -> str:
    return session.client.resource("v1", "pods").path(namespace_of(pod), name_of(pod), subresource)


def _query(container: str, stdin: bool, terminal: bool) -> dict[str, Any]:
    return {"container": container, "stdin": stdin, "stdout": True, "stderr": not terminal, "tty": terminal}


async def _converse(session: Session, path: str, query: dict[str, Any], stdin: bool, terminal: bool) -> int:
    if terminal and not sys.stdin.isatty():
        warn("Unable to use a TTY - input is not a terminal or the right kind of file")
        terminal = False
        query = query | {"tty": False, "stderr": True}
    stream = await streams.open_stream(session.client, path, query)
    tasks = []
    with _raw_terminal() if terminal else contextlib.nullcontext():
        if stdin:
            tasks.append(asyncio.ensure_future(_send_input(stream)))
        if terminal:
            tasks.append(asyncio.ensure_future(_send_sizes(stream)))
        try:
            return await _print_output(stream)
        finally:
            for task in tasks:
                task.cancel()
            await stream.close()


async def _print_output(stream: Stream) -> int:
    async for channel, data in stream.messages():
        if channel == streams.STDOUT and data:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif channel == streams.STDERR and data:
            sys.stderr.buffer.write(data)
            sys.stderr.buffer.flush()
        elif channel == streams.ERROR:
            try:
                return streams.exit_code(orjson.loads(data))
            except StatusError as error:
                raise CommandFailed(error.message) from error
    return 0


async def _send_input(stream: Stream) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    if not _can_be_waited_for(sys.stdin.fileno()):
        while data := await asyncio.to_thread(os.read, sys.stdin.fileno(), 65536):
            await stream.send(streams.STDIN, data)
    else:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while data := await reader.read(65536):
            await stream.send(streams.STDIN, data)
    await stream.close_channel(streams.STDIN)


def _can_be_waited_for(descriptor: int) -> bool:
    """Pipes, sockets and terminals can; plain files and /dev/null have all that they will ever have."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)


async def _send_sizes(stream: Stream) -> None:
    changed = asyncio.Event()
    changed.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, changed.set)
    while True:
        await changed.wait()
        changed.clear()
        size = os.get_terminal_size()
        await stream.resize(size.columns, size.lines)


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Every key goes to the container; afterwards the terminal is as it was."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
