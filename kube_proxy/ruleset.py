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
    cluster: tuple[Endpoint, ...]  # for the policy Cluster
    local: tuple[Endpoint, ...]  # for the policy Local
    anywhere: bool  # does the cluster have any usable endpoint?

    @property
    def name(self) -> PortName:
        """Whose rule it is."""
        return self.port.name

    @property
    def internal(self) -> tuple[Endpoint, ...]:
        """For traffic to the cluster IP."""
        return self.local if self.port.internal_local else self.cluster

    @property
    def external(self) -> tuple[Endpoint, ...]:
        """For traffic from outside to node ports, external and load-balancer addresses."""
        return self.local if self.port.external_local else self.cluster

    @property
    def uses_cluster(self) -> bool:
        """May any endpoint be chosen? Also where the policy is Local, pods of this cluster reach all from anywhere."""
        return bool(self.cluster) and (not self.port.internal_local or self.is_reachable_from_outside)

    @property
    def uses_local(self) -> bool:
        """Is there traffic for the endpoints of this node alone?"""
        outside = self.port.external_local and self.is_reachable_from_outside
        return bool(self.local) and (self.port.internal_local or outside)

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
        cluster = self.cluster if self.uses_cluster else ()
        local = self.local if self.uses_local else ()
        return tuple(sorted({*cluster, *local}))


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything that the kernel of this node shall do for Services."""

    rules: tuple[Rule, ...]

    def udp(self) -> list[Rule]:
        """The rules for UDP; flows to anywhere else than their endpoints are stale."""
        return [rule for rule in self.rules if rule.name.protocol == "UDP"]

    def without_local_endpoints(self) -> dict[str, int]:
        """How many ports have endpoints, but none for the policy Local: by the kind of traffic."""
        empty = [rule for rule in self.rules if rule.anywhere and not rule.local]
        return {
            "internal": sum(rule.port.internal_local for rule in empty),
            "external": sum(rule.port.external_local for rule in empty),
        }


def build_ruleset(
    services: Sequence[ServicePort], endpoints: Mapping[PortName, Sequence[Endpoint]], node: NodeView
) -> Ruleset:
    """Put promises and endpoints together."""
    rules = []
    for port in services:
        choice = choose(endpoints.get(port.name, ()), node)
        rules.append(Rule(port, choice.cluster, choice.local, choice.anywhere))
    return Ruleset(tuple(rules))
