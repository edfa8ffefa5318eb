"""Promises times endpoints: what the kernel shall do, as a value. Pure.

A `Ruleset` says nothing about tables and chains; each backend renders it in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kube_proxy.endpoints import Endpoint
from kube_proxy.services import PortName, ServicePort
from kube_proxy.topology import NodeView, choose


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to the traffic of one Service port on this node."""

    port: ServicePort
    internal: tuple[Endpoint, ...]  # for traffic to the cluster IP
    external: tuple[Endpoint, ...]  # for traffic to node ports, external and load-balancer addresses
    anywhere: bool  # does the cluster have any usable endpoint?

    @property
    def name(self) -> PortName:
        """Whose rule it is."""
        return self.port.name

    @property
    def external_addresses(self) -> tuple[str, ...]:
        """Addresses from outside the cluster that lead here."""
        return (*self.port.external_ips, *self.port.load_balancer_ips)

    @property
    def is_reachable_from_outside(self) -> bool:
        """Is there a way in besides the cluster IP?"""
        return bool(self.port.node_port or self.external_addresses)

    @property
    def all_endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint that this node may choose."""
        return tuple(sorted({*self.internal, *self.external}))


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that the kernel of this node shall do for Services."""

    rules: tuple[Rule, ...]

    def udp_endpoints(self) -> dict[PortName, frozenset[str]]:
        """Where UDP may go; flows to anywhere else are stale."""
        return {
            rule.name: frozenset(endpoint.ip for endpoint in rule.all_endpoints)
            for rule in self.rules
            if rule.name.protocol == "UDP"
        }


def build_ruleset(
    services: Sequence[ServicePort], endpoints: Mapping[PortName, Sequence[Endpoint]], node: NodeView
) -> Ruleset:
    """Put promises and endpoints together."""
    rules = []
    for port in services:
        choice = choose(port, endpoints.get(port.name, ()), node)
        rules.append(Rule(port, choice.internal, choice.external, choice.anywhere))
    return Ruleset(tuple(rules))
