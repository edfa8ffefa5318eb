"""`CloudProvider`: what the controllers ask of a cloud. A provider without some ability answers None for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from kubarium.apimachinery.object import Object
from kubarium.component_base.clock import Clock


@dataclass(frozen=True, slots=True)
class Instance:
    """A machine as the cloud knows it."""

    provider_id: str
    instance_type: str
    addresses: tuple[tuple[str, str], ...]  # (type, address): ("InternalIP", "10.0.0.5")
    zone: str = ""
    region: str = ""


class Instances(Protocol):
    """Machines."""

    async def find(self, node: Object) -> Instance | None:
        """The machine behind a Node; None when it is gone for good."""
        ...

    async def is_shut_down(self, node: Object) -> bool:
        """Is the machine there, but switched off?"""
        ...


class LoadBalancers(Protocol):
    """Addresses that lead to all nodes."""

    def remember(self, service: Object) -> None:
        """This Service has addresses already: give them to nobody else."""
        ...

    async def watch(self, clock: Clock) -> None:
        """Look after what stands, until cancelled."""
        ...

    async def ensure(self, service: Object, nodes: Sequence[Object]) -> list[str]:
        """Make traffic to addresses, one of each of its families, reach these nodes.

        Calling it again changes what is different.
        """
        ...

    async def delete(self, service: Object) -> None:
        """Give the addresses back."""
        ...


class Routes(Protocol):
    """Ways to the pods of each node."""

    async def ensure(self, node: Object, pod_cidr: str) -> None:
        """Traffic for this range goes to this node."""
        ...

    async def delete(self, node: Object) -> None:
        """No longer."""
        ...


class CloudProvider(Protocol):
    """A cloud."""

    name: str

    @property
    def instances(self) -> Instances | None:
        """Its machines."""
        ...

    @property
    def load_balancers(self) -> LoadBalancers | None:
        """Its load balancers."""
        ...

    @property
    def routes(self) -> Routes | None:
        """Its routes."""
        ...
