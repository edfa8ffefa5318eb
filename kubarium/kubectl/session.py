"""One invocation: which cluster, which namespace, which identity; and the errors that end it."""

from __future__ import annotations

import asyncio
import functools
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import click

from kubarium.client import kubeconfig
from kubarium.client.kubeconfig import ClientConfig, ConfigError
from kubarium.client.resource import ResourceClient
from kubarium.client.rest import Client
from kubarium.client.transport import Answer, Query
from kubarium.component_base.options import parse_duration
from kubarium.kubectl.names import Kind, Names

FIELD_MANAGER = "kubectl"


class CommandFailed(Exception):
    """The command cannot do what it was asked; the text goes after `error: `."""


class TellingClient(Client):
    """A client that passes on what the server warns of, each warning once."""

    field_validation = ""  # what becomes of unknown fields in what is written, if the command has a say
    request_timeout = 0.0  # seconds for one request that is no stream, if the user has a say
    _told: frozenset[str] = frozenset()

    async def _send(self, method: str, path: str, *, query: Query | None = None, **how: Any) -> Answer:
        if self.field_validation and method in ("POST", "PUT", "PATCH"):
            query = {**(query or {}), "fieldValidation": self.field_validation}
        if self.request_timeout and how.get("timeout") is not None:
            how["timeout"] = self.request_timeout
        answer = await super()._send(method, path, query=query, **how)
        for text in re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', answer.headers.get("warning", "")):
            if text not in self._told:
                self._told |= {text}
                warn("Warning: " + re.sub(r"\\(.)", r"\1", text))
        return answer


def misused(text: str) -> CommandFailed:
    """The command was called in a way that its help would tell of."""
    path = click.get_current_context().command_path
    return CommandFailed(f"{text}\nSee '{path} -h' for help and examples")


@dataclass(frozen=True)
class Session:
    """What every command works with."""

    client: Client  # a TellingClient, but in tests
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
    tls_server_name: str | None = None
    request_timeout: str = "0"
    field_validation: str = ""

    def config(self) -> ClientConfig:
        """Where to connect to and as whom: the kubeconfig, but what a flag says rules. Raises ConfigError."""
        try:
            found = kubeconfig.load(self.kubeconfig, self.context, cluster=self.cluster, user=self.user)
        except ConfigError:
            if not self.server:
                raise
            found = ClientConfig(server=self.server)
        ruled: dict[str, Any] = {
            "server": self.server and self.server.rstrip("/"),
            "token": self.token,
            "ca_file": self.certificate_authority,
            "cert_file": self.client_certificate,
            "key_file": self.client_key,
            "insecure_skip_tls_verify": self.insecure_skip_tls_verify,
            "tls_server_name": self.tls_server_name,
            "impersonate": self.impersonate,
            "impersonate_group": self.impersonate_group,
        }
        return replace(found, **{field: value for field, value in ruled.items() if value})

    def seconds(self) -> float:
        """`--request-timeout`: `5`, `5s`; 0 for no limit. Raises CommandFailed."""
        try:
            return float(parse_duration(self.request_timeout + "s" * self.request_timeout.isdecimal()))
        except ValueError as error:
            raise CommandFailed(
                "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a "
                "corresponding time unit (e.g. 1s | 2m | 3h)"
            ) from error


@asynccontextmanager
async def connect(chosen: Chosen) -> AsyncIterator[Session]:
    """Open a session as the flags and the kubeconfig say."""
    config = chosen.config()
    client = TellingClient(config, user_agent="kubectl/kubarium")
    client.field_validation, client.request_timeout = chosen.field_validation, chosen.seconds()
    namespace = chosen.namespace or config.namespace
    try:
        yield Session(client, Names(client), namespace, chosen.namespace is not None)
    finally:
        await client.close()


VALIDATIONS = {
    "strict": "Strict",
    "true": "Strict",
    "warn": "Warn",
    "ignore": "Ignore",
    "false": "Ignore",
}


def validate_option(command: Any) -> Any:
    """`--validate`: what becomes of fields that the server does not know."""

    def keep(context: click.Context, _flag: click.Parameter, value: str) -> None:
        if value not in VALIDATIONS:
            raise CommandFailed(f'invalid - validate option "{value}"')
        context.ensure_object(Chosen).field_validation = VALIDATIONS[value]

    return click.option(
        "--validate",
        default="strict",
        expose_value=False,
        callback=keep,
        help="What becomes of fields that the server does not know: strict, warn or ignore.",
    )(command)


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
    ("--tls-server-name",): HIDDEN,
    ("--request-timeout",): {},
    # Understood, so that scripts run; there is nothing here that they could change.
    ("--v", "-v"): HIDDEN,
    ("--cache-dir",): HIDDEN,
    ("--kuberc",): HIDDEN,
    ("--match-server-version",): HIDDEN | {"is_flag": True, "default": None},
    ("--disable-compression",): HIDDEN | {"is_flag": True, "default": None},
}


def with_global_flags(command: click.Command) -> click.Command:
    """A command, and all below it, that take the global flags too; a flag of a command's own goes before."""

    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value is not None:
            setattr(context.ensure_object(Chosen), str(parameter.name), value)
        return value

    taken = {name for parameter in command.params for name in parameter.opts}
    for (name, *others), settings in GLOBAL_FLAGS.items():
        if name not in taken:
            left = [name, *(other for other in others if other not in taken)]
            command.params.append(click.Option(left, expose_value=False, callback=keep, **settings))
    if isinstance(command, click.Group):
        for below in dict.fromkeys(command.commands.values()):
            with_global_flags(below)
    return command


def with_session(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Let a coroutine that needs a session be the body of a click command."""

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
