"""NoExecute: delete pods when their patience with a node's taints ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller_manager.pod_eviction import Cause, PodEviction
from kubarium.api.core import taints
from kubarium.api.core.pod import affinity
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    key_of,
    name_of,
    spec_of,
    uid_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

CAUSE = Cause(
    "TaintManagerEviction", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
)


class TaintEvictionController(Controller):
    """Evicts pods that do not tolerate their node's taints, or no longer."""

    name = "taint-eviction-controller"
    workers = 8

    def __init__(self, client: Client, informers: Informers, clock: Clock, events: EventRecorder) -> None:
        self.eviction = PodEviction(client, events, clock, CAUSE)
        self.nodes = informers.informer("v1", "nodes").lister
        pods = informers.informer("v1", "pods")
        pods.add_index("node", lambda pod: [spec_of(pod).get("nodeName") or ""])
        self.pods = pods.lister
        self._since: dict[
            ObjectKey, tuple[str, float, float]
        ] = {}  # pod -> its uid, since when, for how long
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=self._on_tainted_node, changed=_matters),
            Watch("v1", "nodes", keys=self._pods_on, changed=_taints_changed),
        ]

    def _on_tainted_node(self, pod: Object) -> Iterable[ObjectKey]:
        """Only pods under a taint, or that were, need a look."""
        node = self.nodes.get("", spec_of(pod).get("nodeName") or "")
        key = key_of(pod)
        if key in self._since or (node is not None and taints.no_execute(node)):
            return (key,)
        return ()

    def _pods_on(self, node: Object) -> Iterable[ObjectKey]:
        pods = self.pods.by_index("node", name_of(node))
        if taints.no_execute(node):
            return [key_of(pod) for pod in pods]
        return [key_of(pod) for pod in pods if key_of(pod) in self._since]

    async def reconcile(self, key: ObjectKey) -> float | None:
        pod = self.pods.get(key)
        if pod is None or is_deleting(pod) or not pod_status.is_scheduled(pod):
            self._since.pop(key, None)
            return None
        node = self.nodes.get("", spec_of(pod)["nodeName"])
        now = self.clock.monotonic()
        uid, since, patience = self._since.get(key, ("", now, None))
        if uid != uid_of(pod):
            since, patience = now, None
        if node is not None:  # one that has gone takes nobody's patience back
            patience = taints.patience(pod, found) if (found := taints.no_execute(node)) else None
        if patience is None:
            self._calm_down(pod)
            return None
        self._since[key] = (uid_of(pod), since, patience)
        wait = since + patience - now
        if wait > 0:
            return wait
        log.info("evicting pod %s from tainted node %s", key, spec_of(pod).get("nodeName"))
        await self.eviction.evict(pod)
        self._since.pop(key, None)
        return None

    def _calm_down(self, pod: Object) -> None:
        if self._since.pop(key_of(pod), None) is not None:
            self.eviction.call_off(pod)


def _taints_changed(old: Object, new: Object) -> bool:
    return taints.no_execute(old) != taints.no_execute(new)


def _matters(old: Object, new: Object) -> bool:
    def view(pod: Object) -> tuple[object, ...]:
        return spec_of(pod).get("nodeName"), affinity.tolerations_of(pod), is_deleting(pod)

    return view(old) != view(new)
