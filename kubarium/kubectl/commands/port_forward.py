"""`kubectl port-forward`: local ports that lead into a pod."""

from __future__ import annotations

import asyncio
import contextlib

import click

from kubarium.api.core.pod import status
from kubarium.api.discovery import endpoint_slice
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of
from kubarium.client import streams
from kubarium.kubectl.commandline import command
from kubarium.kubectl.pods import pod_of
from kubarium.kubectl.session import CommandFailed, Session, misused, say, warn, with_session

LOCALHOST = {"localhost": ("127.0.0.1", "::1")}
DATA, FAILURE = 0, 1  # the two channels of the one port of a connection


@command("port-forward")
@click.argument("words", metavar="POD PORT", nargs=-1)
@click.option("--address", default="localhost")
@with_session
async def port_forward(session: Session, words: tuple[str, ...], address: str) -> None:
    """Forward one or more local ports to a pod."""
    if len(words) < 2:
        raise misused("TYPE/NAME and list of ports are required for port-forward")
    word, *ports = words
    found = await pod_of(session, word)
    require_running(found)
    target = (await session.names.targets([word]))[0] if "/" in word else None
    service = None
    if target is not None and target.kind.plural == "services":
        service = await session.resource(target.kind).get(target.name, session.namespace)
    pairs = [pair_of(text, found, service) for text in ports]
    hosts = [host for word in address.split(",") for host in LOCALHOST.get(word, (word,))]
    async with contextlib.AsyncExitStack() as stack:
        listening = [await _listen(session, found, hosts, *pair, stack) for pair in pairs]
        if not any(listening):
            told = " ".join(f"{{{local} {remote}}}" for local, remote in pairs)
            raise CommandFailed(f"unable to listen on any of the requested ports: [{told}]")
        await asyncio.Event().wait()


async def _listen(
    session: Session, pod: Object, hosts: list[str], local: int, remote: int, stack: contextlib.AsyncExitStack
) -> bool:
    """Listen at each address that there is; what is wrong is said if there is none."""
    failures, bound = [], local
    for host in hosts:
        try:
            server = await asyncio.start_server(
                lambda reader, writer: _carry(session, pod, remote, reader, writer), host, bound
            )
        except OSError as error:
            failures.append(f"unable to create listener: Error listen {host}:{bound}: {error.strerror}")
            continue
        await stack.enter_async_context(server)
        bound = server.sockets[0].getsockname()[1]
        say(f"Forwarding from {f'[{host}]' if ':' in host else host}:{bound} -> {remote}")
    if len(failures) == len(hosts):
        told = " ".join(failures)
        warn(
            f"Unable to listen on port {local}: Listeners failed to create with the following errors: [{told}]"
        )
    return len(failures) < len(hosts)


def require_running(pod: Object) -> None:
    """Raises CommandFailed for a pod that no port can lead into."""
    if (phase := status.phase_of(pod)) != "Running":
        raise CommandFailed(f"unable to forward port because pod is not running. Current status={phase}")


def pair_of(text: str, pod: Object, service: Object | None) -> tuple[int, int]:
    """The local port and the pod's: `80`, `8080:80`, `:80`, `8080:http`; of a Service its own. Raises CommandFailed."""
    local, colon, remote = text.partition(":")
    remote = remote if colon else local
    number = _of_pod(remote, pod) if service is None else _of_service(remote, pod, service)
    wish = local or "0" if colon or remote.isdecimal() else str(number)
    return _number(wish, "local"), number


def _of_pod(port: str, pod: Object) -> int:
    if port[:1].isdecimal():
        return _number(port, "remote")
    for container in pod["spec"]["containers"]:
        for each in container.get("ports") or []:
            if each.get("name") == port:
                return int(each["containerPort"])
    raise CommandFailed(f"Pod '{name_of(pod)}' does not have a named port '{port}'")


def _of_service(port: str, pod: Object, service: Object) -> int:
    spec = service["spec"]
    for each in spec.get("ports") or []:
        if port in (str(each["port"]), each.get("name")):
            # Behind a Service without an address nobody translates ports.
            number = each["port"] if spec.get("clusterIP") == "None" else endpoint_slice.find_port(pod, each)
            if number is not None:
                return int(number)
    what = "service port" if port.isdecimal() else "named port"
    shown = port if port.isdecimal() else f"'{port}'"
    raise CommandFailed(f"Service {name_of(service)} does not have a {what} {shown}")


def _number(text: str, sort: str) -> int:
    if text.isdecimal() and int(text) < 2**16 and (int(text) or sort == "local"):
        return int(text)
    if text.isdecimal() and not int(text):
        raise CommandFailed("remote port must be > 0")
    what = "value out of range" if text.isdecimal() else "invalid syntax"
    raise CommandFailed(f"error parsing {sort} port '{text}': strconv.ParseUint: parsing \"{text}\": {what}")


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
