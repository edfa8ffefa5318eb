"""`kubectl port-forward`: local ports that lead into a pod."""

from __future__ import annotations

import asyncio
import contextlib

import click

from kubarium.api.core.pod import status
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client import streams
from kubarium.kubectl.commandline import command
from kubarium.kubectl.pods import pod_of
from kubarium.kubectl.session import CommandFailed, Session, say, warn, with_session

DATA, FAILURE = 0, 1  # the two channels of the one port of a connection


@command("port-forward")
@click.argument("pod")
@click.argument("ports", nargs=-1, required=True)
@click.option("--address", default="localhost")
@with_session
async def port_forward(session: Session, pod: str, ports: tuple[str, ...], address: str) -> None:
    """Forward one or more local ports to a pod."""
    found = await pod_of(session, pod)
    require_running(found)
    host = "127.0.0.1" if address == "localhost" else address
    async with contextlib.AsyncExitStack() as stack:
        for local, remote in map(_pair, ports):
            server = await asyncio.start_server(
                lambda reader, writer, remote=remote: _carry(session, found, remote, reader, writer),  # type: ignore[misc]
                host,
                local,
            )
            await stack.enter_async_context(server)
            bound = server.sockets[0].getsockname()[1]
            say(f"Forwarding from {host}:{bound} -> {remote}")
        await asyncio.Event().wait()


def require_running(pod: Object) -> None:
    """Raises CommandFailed for a pod that no port can lead into."""
    if (phase := status.phase_of(pod)) != "Running":
        raise CommandFailed(f"unable to forward port because pod is not running. Current status={phase}")


def _pair(text: str) -> tuple[int, int]:
    local, colon, remote = text.partition(":")
    try:
        return (int(local or 0), int(remote)) if colon else (int(local), int(local))
    except ValueError as error:
        raise CommandFailed(f"error parsing port {text!r}") from error


async def _carry(
    session: Session, pod: Object, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One local connection: one stream to the pod."""
    say(f"Handling connection for {port}")
    path = session.client.resource("v1", "pods").path(namespace_of(pod), name_of(pod), "portforward")
    try:
        stream = await streams.open_stream(session.client, path, {"ports": str(port)}, ("v4.channel.k8s.io",))
    except (errors.StatusError, OSError) as error:  # one connection's failure must not end the others
        warn(f"error forwarding port {port}: {error}")
        writer.close()
        return
    sender = asyncio.ensure_future(_send(stream, reader))
    named: set[int] = set()
    try:
        async for channel, data in stream.messages():
            if channel not in named:
                named.add(channel)  # the first message of each channel is the port's number
                data = data[2:]
            if channel == FAILURE and data:
                warn(f"error forwarding port {port}: {data.decode(errors='replace')}")
                break
            if channel == DATA and data:
                writer.write(data)
                await writer.drain()
    except ConnectionError as error:
        warn(f"error forwarding port {port}: {error}")
    finally:
        sender.cancel()
        writer.close()
        await stream.close()


async def _send(stream: streams.Stream, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(65536):
        await stream.send(DATA, data)
