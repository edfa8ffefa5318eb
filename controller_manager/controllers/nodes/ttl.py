"""How long a kubelet may trust a cached Secret or ConfigMap: longer in larger clusters.

Written as the annotation `node.alpha.kubernetes.io/ttl` on every node.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import ObjectKey, annotations_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

ANNOTATION = "node.alpha.kubernetes.io/ttl"

STEPS = ((100, 0), (500, 15), (1000, 30), (2000, 60), (10**9, 300))
"""Up to so many nodes, so many seconds."""


def seconds_for(nodes: int) -> int:
    """The time for a cluster of this size."""
    return next(seconds for limit, seconds in STEPS if nodes <= limit)


class TTLController(Controller):
    """Keeps the annotation up to date."""

    name = "ttl-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.nodes = informers.informer("v1", "nodes").lister
        self.resource = client.resource("v1", "nodes")
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "nodes", changed=lambda old, new: ANNOTATION not in annotations_of(new)),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        node = self.nodes.get(key)
        wanted = str(seconds_for(len(self.nodes)))
        if node is None or annotations_of(node).get(ANNOTATION) == wanted:
            return
        try:
            await self.resource.patch(key.name, {"metadata": {"annotations": {ANNOTATION: wanted}}})
        except errors.NotFound:
            return
