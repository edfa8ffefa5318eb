"""From flags and files to authorizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apiserver import configuration
from apiserver.authorization import configuration as wanted
from apiserver.authorization.authorizer import AlwaysAllow, AlwaysDeny, Authorizers
from apiserver.authorization.node import NodeAuthorizer
from apiserver.authorization.rbac import RBAC
from apiserver.authorization.webhook import AuthorizationWebhook
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informers
from kubarium.component_base.clock import Clock


def assemble(
    options: Options, informers: Informers, clock: Clock, node_rules: Sequence[Object]
) -> tuple[Authorizers, RBAC | None]:
    """The wanted authorizers in their order. Raises ConfigurationError."""
    if not options.authorization_config:
        found = wanted.of_flags(options)
    elif options.authorization_webhook_config_file:
        text = "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-*"
        raise ConfigurationError(f"{text} flags are defined")
    else:
        found = wanted.load(options.authorization_config)
    authorizers: list[Any] = []
    rbac: RBAC | None = None
    for one in found:
        if one.type == "RBAC":
            rbac = RBAC()
            rbac.follow(informers)
            authorizers.append(rbac)
        elif one.type == "Node":
            node = NodeAuthorizer(node_rules)
            node.follow(informers)
            authorizers.append(node)
        elif one.type == wanted.WEBHOOK:
            authorizers.append(_webhook(one, clock))
        else:
            authorizers.append(AlwaysAllow() if one.type == "AlwaysAllow" else AlwaysDeny())
    return Authorizers(authorizers), rbac


def _webhook(one: wanted.Authorizer, clock: Clock) -> AuthorizationWebhook:
    remote, path = configuration.remote(one.kubeconfig)
    return AuthorizationWebhook(remote, clock, path, one.settings)
