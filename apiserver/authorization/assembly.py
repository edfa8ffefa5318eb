"""From flags and files to authorizers, and from a changed file to other ones."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from apiserver import configuration
from apiserver.authorization import configuration as wanted
from apiserver.authorization.abac import ABAC
from apiserver.authorization.abac import load as load_policies
from apiserver.authorization.authorizer import (
    AlwaysAllow,
    AlwaysDeny,
    Authorizer,
    Authorizers,
    RemoteAuthorizer,
)
from apiserver.authorization.node import NodeAuthorizer
from apiserver.authorization.rbac import RBAC
from apiserver.authorization.webhook import AuthorizationWebhook
from apiserver.configuration import ConfigurationError, FollowedFile
from apiserver.options import Options
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.component_base.clock import Clock

RELOAD_SECONDS = 5.0  # how often the configuration file is looked at


@dataclass
class Assembly:
    """The authorizers of a server."""

    all: Authorizers
    rbac: RBAC | None
    abac: ABAC | None
    followed: Followed | None
    """Goes with the configuration file, to be run."""


@dataclass(frozen=True)
class _Kept:
    """Authorizers that know the cluster: they are made once, and asked where a configuration names them."""

    rbac: RBAC | None
    node: NodeAuthorizer | None
    abac: ABAC | None

    def named(self, one: wanted.Authorizer, clock: Clock) -> Authorizer | RemoteAuthorizer:
        """The authorizer that a configuration means. Raises ConfigurationError."""
        if one.type == wanted.WEBHOOK:
            return _webhook(one, clock)
        if one.type == "AlwaysAllow":
            return AlwaysAllow()
        if one.type == "AlwaysDeny":
            return AlwaysDeny()
        found: Authorizer | None = {"RBAC": self.rbac, "Node": self.node, wanted.ABAC: self.abac}[one.type]
        if found is None:
            raise ConfigurationError(f"nil {one.type.lower()}Authorizer")
        return found


def assemble(
    options: Options, informers: Informers, clock: Clock, node_rules: Sequence[Object], server_id: str
) -> Assembly:
    """The wanted authorizers in their order. Raises ConfigurationError."""
    if not options.authorization_config:
        found = wanted.of_flags(options)
    elif options.authorization_webhook_config_file:
        text = "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-*"
        raise ConfigurationError(f"{text} flags are defined")
    else:
        found = wanted.load(options.authorization_config)
    kept = _kept([one.type for one in found], informers, node_rules, options.authorization_policy_file)
    authorizers = Authorizers([kept.named(one, clock) for one in found])
    if not options.authorization_config:
        return Assembly(authorizers, kept.rbac, kept.abac, None)
    return Assembly(
        authorizers,
        kept.rbac,
        kept.abac,
        Followed(options.authorization_config, found, authorizers, kept, clock, server_id),
    )


def _kept(types: Sequence[str], informers: Informers, node_rules: Sequence[Object], policies: str) -> _Kept:
    rbac = RBAC() if "RBAC" in types else None
    node = NodeAuthorizer(node_rules) if "Node" in types else None
    for one in (rbac, node):
        if one is not None:
            one.follow(informers)
    return _Kept(rbac, node, load_policies(policies) if wanted.ABAC in types else None)


class Followed:
    """Goes with a configuration file: webhooks may come, change and go, the others must stay.

    Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#using-configuration-file-for-authorization
    """

    def __init__(
        self,
        path: str,
        first: Sequence[wanted.Authorizer],
        authorizers: Authorizers,
        kept: _Kept,
        clock: Clock,
        server_id: str,
    ) -> None:
        self._authorizers = authorizers
        self._clock = clock
        required = {one.type for one in first} - {wanted.WEBHOOK}

        def load() -> list[Authorizer | RemoteAuthorizer]:
            found = wanted.load(path)
            if missing := required - {one.type for one in found}:
                raise ConfigurationError(f"authorizers may not be taken away: {', '.join(sorted(missing))}")
            return [kept.named(one, clock) for one in found]

        self._file = FollowedFile(path, "authorization", server_id, clock, load)
        self._retired: list[tuple[float, AuthorizationWebhook]] = []

    async def run(self) -> None:
        """Look at the file again and again."""
        while True:
            await self._clock.sleep(RELOAD_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Take over a changed file; who was asked before may answer what he has been asked."""
        if (found := self._file.fresh()) is not None:
            until = self._clock.monotonic() + wanted.MAX_SECONDS
            before = self._authorizers.replace(found)
            self._retired += [(until, one) for one in before if isinstance(one, AuthorizationWebhook)]
        while self._retired and self._retired[0][0] <= self._clock.monotonic():
            with contextlib.suppress(ConnectionError):
                await self._retired.pop(0)[1].close()


def _webhook(one: wanted.Authorizer, clock: Clock) -> AuthorizationWebhook:
    remote, path = configuration.remote(one.kubeconfig)
    return AuthorizationWebhook(remote, clock, path, one.settings)
