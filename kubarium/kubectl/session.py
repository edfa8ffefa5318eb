"""One invocation: which cluster, which namespace, which identity; and the errors that end it."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import click

from kubarium.client import kubeconfig
from kubarium.client.resource import ResourceClient
from kubarium.client.rest import Client
from kubarium.kubectl.names import Kind, Names

FIELD_MANAGER = "kubectl"


class CommandFailed(Exception):
    """The command cannot do what it was asked; the text goes after `error: `."""


@dataclass(frozen=True)
class Session:
    """What every command works with."""

    client: Client
    names: Names
    namespace: str
    namespace_given: bool

    def resource(self, kind: Kind) -> ResourceClient:
        """A handle for a kind."""
        return self.client.resource(kind.api_version, kind.plural)

    def where(self, kind: Kind, all_namespaces: bool = False) -> str:
        """The namespace of a request for this kind: none for cluster-scoped kinds."""
        return self.namespace if kind.namespaced and not all_namespaces else ""


@dataclass
class Chosen:
    """Global flags, given before or after the verb."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    server: str | None = None
    token: str | None = None
    impersonate: str | None = None


@asynccontextmanager
async def connect(chosen: Chosen) -> AsyncIterator[Session]:
    """Open a session as the flags and the kubeconfig say."""
    config = kubeconfig.load(chosen.kubeconfig, chosen.context)
    headers = {"Impersonate-User": chosen.impersonate} if chosen.impersonate else None
    client = Client(config, user_agent="kubectl/kubarium", headers=headers)
    namespace = chosen.namespace or config.namespace
    try:
        yield Session(client, Names(client), namespace, chosen.namespace is not None)
    finally:
        await client.close()


def flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The global flags, for the group and for each command."""

    def keep(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        chosen = context.ensure_object(Chosen)
        if value is not None:
            setattr(chosen, str(parameter.name), value)
        return value

    for names in (
        ("--kubeconfig",),
        ("--context",),
        ("--namespace", "-n"),
        ("--as", "impersonate"),
    ):
        command = click.option(*names, expose_value=False, callback=keep)(command)
    return command


def with_session(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a coroutine that needs a session be the body of a click command."""

    @flags
    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> None:
        chosen = click.get_current_context().ensure_object(Chosen)

        async def work() -> None:
            async with connect(chosen) as session:
                await function(session, *args, **kwargs)

        asyncio.run(work())

    return command


def say(text: str) -> None:
    """One line for the user."""
    click.echo(text)


def warn(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr)
