"""Which endpoints serve traffic that enters at this node. Pure.

Source: KEP-1669 (terminating endpoints), KEP-2086 (internal traffic policy), KEP-2433 (topology hints).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kube_proxy.endpoints import Endpoint


@dataclass(frozen=True, slots=True)
class NodeView:
    """Who we are."""

    name: str
    zone: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The endpoints for the traffic policy Cluster, and for the policy Local: those of this node."""

    cluster: tuple[Endpoint, ...]
    local: tuple[Endpoint, ...]
    anywhere: bool  # is there any usable endpoint in the whole cluster?


def choose(endpoints: Sequence[Endpoint], node: NodeView) -> Choice:
    """Ready endpoints, near ones where hints say so; serving ones that terminate when nothing else is left."""
    everywhere = usable(endpoints)
    ready = tuple(endpoint for endpoint in everywhere if endpoint.ready)
    local = usable([endpoint for endpoint in endpoints if endpoint.node == node.name])
    return Choice(_near(ready, node) or everywhere, local, anywhere=bool(everywhere))


def usable(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The ready ones; if there are none, those that still serve while they terminate."""
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    return ready or tuple(e for e in endpoints if e.serving and e.terminating)


def _near(endpoints: tuple[Endpoint, ...], node: NodeView) -> tuple[Endpoint, ...]:
    """Hints are followed only if every ready endpoint has them and some are for us, whoever has written them."""
    if all(endpoint.node_hints for endpoint in endpoints):
        here = tuple(endpoint for endpoint in endpoints if node.name in endpoint.node_hints)
        if here:
            return here
    if node.zone and all(endpoint.zone_hints for endpoint in endpoints):
        here = tuple(endpoint for endpoint in endpoints if node.zone in endpoint.zone_hints)
        if here:
            return here
    return endpoints
