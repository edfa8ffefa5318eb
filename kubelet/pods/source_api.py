"""The pods that the API server says are bound to this node."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from kubarium.client.informer import Informer, Informers
from kubelet.pods.merge import Merge

SOURCE = "api"


def connect(informers: Informers, node_name: str, merge: Merge) -> Informer:
    """Feed the pods whose `spec.nodeName` is this node into the merge."""
    informer = informers.informer("v1", "pods", field_selector=f"spec.nodeName={node_name}")

    def added(pod: Object, initial: bool) -> None:
        merge.put(SOURCE, pod)

    def updated(old: Object, new: Object) -> None:
        merge.put(SOURCE, new)

    def deleted(pod: Object) -> None:
        merge.remove(SOURCE, pod)

    informer.add_handler(added, updated, deleted)
    return informer
