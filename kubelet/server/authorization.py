"""Who may see which page of the kubelet: each is a subresource of its node, `nodes/<part>`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.client import delegated_access
from kubarium.client.delegated_access import Rules, User
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
PARTS = {
    "stats": ("stats",),
    "metrics": ("metrics",),
    "logs": ("log",),
    "checkpoint": ("checkpoint",),
    "pods": ("pods", "proxy"),
    "runningpods": ("pods", "proxy"),
    "healthz": ("healthz", "proxy"),
    "configz": ("configz", "proxy"),
    "statusz": ("statusz", "proxy"),
}
"""First element of the path -> subresources of `nodes`, of which one is enough; everything else is `proxy`.

Source: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/#fine-grained-authorization
"""


class Door(delegated_access.Door):
    """Asks whether the user may do this with this node."""

    def __init__(
        self, client: Client, node_name: str, clock: Clock, *, anonymous: bool, always_allow: bool
    ) -> None:
        rules = Rules(
            anonymous, always_allow, token_for=120.0, allowed_for=300.0, denied_for=30.0
        )  # the kubelet's defaults
        super().__init__(client, client, clock, rules)
        self._node = node_name

    def attributes(self, scope: Mapping[str, Any]) -> Sequence[Object]:
        """The node, and which part of it."""
        parts = PARTS.get(scope["path"].strip("/").split("/")[0], ("proxy",))
        node = {"name": self._node, "version": "v1", "resource": "nodes"}
        wanted = {"verb": VERBS.get(scope["method"], "get"), **node}
        return [{"resourceAttributes": {**wanted, "subresource": part}} for part in parts]

    def refusal(self, user: User, wanted: Sequence[Object]) -> str:
        """The text of upstream's kubelet."""
        asked = [one["resourceAttributes"] for one in wanted]
        where = f"resource=nodes, subresource(s)=[{' '.join(one['subresource'] for one in asked)}]"
        return f"Forbidden (user={user.name}, verb={asked[0]['verb']}, {where})\n"
