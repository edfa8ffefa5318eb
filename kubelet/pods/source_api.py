"""The pods that the API server says are bound to this node."""

from __future__ import annotations

from functools import partial

from kubarium.client.informer import Informer, Informers
from kubelet.pods.merge import Merge

SOURCE = "api"


def connect(informers: Informers, node_name: str, merge: Merge) -> Informer:
    """Feed the pods whose `spec.nodeName` is this node into the merge."""
    informer = informers.informer("v1", "pods", field_selector=f"spec.nodeName={node_name}")
    informer.follow(partial(merge.put, SOURCE), partial(merge.remove, SOURCE))
    return informer
