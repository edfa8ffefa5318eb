"""NoExecute: delete pods when their patience with a node's taints ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubarium.api.core import taints
from kubarium.api.core.pod import affinity
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
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


class TaintEvictionController(Controller):
    """Evicts pods that do not tolerate their node's taints, or no longer."""

    name = "taint-eviction-controller"
    workers = 8

    def __init__(self, client: Client, informers: Informers, clock: Clock, events: EventRecorder) -> None:
        self.events = events
        self.nodes = informers.informer("v1", "nodes").lister
        pods = informers.informer("v1", "pods")
        pods.add_index("node", lambda pod: [spec_of(pod).get("nodeName") or ""])
        self.pods = pods.lister
        self.resource = client.resource("v1", "pods")
        self._since: dict[ObjectKey, tuple[str, float]] = {}  # pod -> its uid, and when its patience began
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
        found = taints.no_execute(node) if node is not None else []
        patience = taints.patience(pod, found) if found else None
        if patience is None:
            self._calm_down(pod)
            return None
        uid, since = self._since.get(key, ("", 0.0))
        now = self.clock.monotonic()
        if uid != uid_of(pod):
            since = now
            self._since[key] = (uid_of(pod), since)
        wait = since + patience - now
        if wait > 0:
            return wait
        await self._evict(pod)
        self._since.pop(key, None)
        return None

    def _calm_down(self, pod: Object) -> None:
        if self._since.pop(key_of(pod), None) is not None:
            text = f"Cancelling deletion of Pod {key_of(pod)}"
            self.events.event(pod, "Normal", "TaintManagerEviction", text)

    async def _evict(self, pod: Object) -> None:
        log.info("evicting pod %s from tainted node %s", key_of(pod), spec_of(pod).get("nodeName"))
        text = f"Marking for deletion Pod {key_of(pod)}"
        self.events.event(pod, "Normal", "TaintManagerEviction", text)
        changed = copy(pod)
        disrupted = {
            "type": pod_status.DISRUPTION_TARGET,
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        try:
            if conditions.set_condition(listed, disrupted, self.clock.now()):
                await self.resource.update_status(changed)
            await self.resource.delete(name_of(pod), pod["metadata"]["namespace"])
        except errors.NotFound:
            return


def _taints_changed(old: Object, new: Object) -> bool:
    return taints.no_execute(old) != taints.no_execute(new)


def _matters(old: Object, new: Object) -> bool:
    def view(pod: Object) -> tuple[object, ...]:
        return spec_of(pod).get("nodeName"), affinity.tolerations_of(pod), is_deleting(pod)

    return view(old) != view(new)
