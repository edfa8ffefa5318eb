"""One invocation: which cluster, which namespace, which identity; and the errors that end it."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import click

from kubarium.client import kubeconfig
from kubarium.client.kubeconfig import ClientConfig
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

    def within(self, namespace: str) -> Session:
        """The same cluster, another namespace."""
        return replace(self, namespace=namespace, namespace_given=True)

    def where(self, kind: Kind, all_namespaces: bool = False) -> str:
        """The namespace of a request for this kind: none for cluster-scoped kinds."""
        return self.namespace if kind.namespaced and not all_namespaces else ""


@dataclass
class Chosen:
    """Global flags, given before or after the verb."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    cluster: str | None = None
    user: str | None = None
    server: str | None = None
    token: str | None = None
    certificate_authority: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    insecure_skip_tls_verify: bool | None = None
    impersonate: str | None = None
    impersonate_group: str | None = None

    def config(self) -> ClientConfig:
        """Where to connect to and as whom: the kubeconfig, but what a flag says rules. Raises ConfigError."""
        found = kubeconfig.load(self.kubeconfig, self.context, cluster=self.cluster, user=self.user)
        ruled: dict[str, Any] = {
            "server": self.server and self.server.rstrip("/"),
            "token": self.token,
            "ca_file": self.certificate_authority,
            "cert_file": self.client_certificate,
            "key_file": self.client_key,
            "insecure_skip_tls_verify": self.insecure_skip_tls_verify,
            "impersonate": self.impersonate,
            "impersonate_group": self.impersonate_group,
        }
        return replace(found, **{field: value for field, value in ruled.items() if value})


@asynccontextmanager
async def connect(chosen: Chosen) -> AsyncIterator[Session]:
    """Open a session as the flags and the kubeconfig say."""
    config = chosen.config()
    client = Client(config, user_agent="kubectl/kubarium")
    namespace = chosen.namespace or config.namespace
    try:
        yield Session(client, Names(client), namespace, chosen.namespace is not None)
    finally:
        await client.close()


HIDDEN = {"hidden": True}
GLOBAL_FLAGS: dict[tuple[str, ...], dict[str, Any]] = {
    ("--kubeconfig",): {},
    ("--context",): {},
    ("--namespace", "-n"): {},
    ("--cluster",): HIDDEN,
    ("--user",): HIDDEN,
    ("--server", "-s"): HIDDEN,
    ("--token",): HIDDEN,
    ("--certificate-authority",): HIDDEN,
    ("--client-certificate",): HIDDEN,
    ("--client-key",): HIDDEN,
    ("--insecure-skip-tls-verify",): HIDDEN | {"is_flag": True, "default": None},
    ("--as", "impersonate"): {},
    ("--as-group", "impersonate_group"): HIDDEN,
}


def flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """The global flags, for the group and for each command."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        chosen = context.ensure_object(Chosen)
        if value is not None:
            setattr(chosen, str(parameter.name), value)
        return value

    for names, settings in GLOBAL_FLAGS.items():
        own = (
            command.params if isinstance(command, click.Command) else getattr(command, "__click_params__", [])
        )
        taken = {name for parameter in own for name in parameter.opts}
        if left := [name for name in names if name not in taken]:
            command = click.option(*left, expose_value=False, callback=keep, **settings)(command)
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
