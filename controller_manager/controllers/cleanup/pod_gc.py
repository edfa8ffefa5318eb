"""Pods that nobody else will ever take away: of lost nodes, never bound, too many finished.

Every 20 seconds, in this order: finished pods beyond the threshold, pods of nodes that have been gone for 40 seconds,
terminating pods that never had a node, terminating pods of nodes that are out of service.

Source: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-garbage-collection
"""

from __future__ import annotations

from collections.abc import Iterable

from kubarium.api.core import taints
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import (
    Object,
    copy,
    is_deleting,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)

PERIOD = 20.0  # seconds
QUARANTINE = 40.0  # seconds that a node must be gone before its pods go too


class PodGC:
    """Deletes, with no grace, pods that no kubelet will ever finish."""

    name = "pod-garbage-collector-controller"

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, *, terminated_pod_threshold: int = 12500
    ) -> None:
        self._clock, self._threshold = clock, terminated_pod_threshold
        self._pods, self._nodes = informers.informer("v1", "pods"), informers.informer("v1", "nodes")
        self._resource, self._node_client = client.resource("v1", "pods"), client.resource("v1", "nodes")
        self._missing_since: dict[str, float] = {}

    async def run(self) -> None:
        """Look around every 20 seconds."""
        await self._pods.synced()
        await self._nodes.synced()
        while True:
            await self._clock.sleep(PERIOD)
            try:
                await self.sweep()
            except (errors.StatusError, ConnectionError, TimeoutError) as error:  # the edge of the loop
                log.info("pods could not be collected: %s", error)

    async def sweep(self) -> None:
        """One round."""
        pods = self._pods.lister.list()
        for pod in surplus(pods, self._threshold):
            await self._remove(pod, None)
        for pod in await self._of_lost_nodes(pods):
            await self._remove(pod, "PodGC: node no longer exists")
        for pod in pods:
            if is_deleting(pod) and not pod_status.is_scheduled(pod):
                await self._remove(pod, None)
        for pod in self._out_of_service(pods):
            await self._remove(
                pod, "PodGC: node is out of service" if not pod_status.is_terminal(pod) else None
            )

    async def _of_lost_nodes(self, pods: Iterable[Object]) -> list[Object]:
        known = {name_of(node) for node in self._nodes.lister.list()}
        used = {node for pod in pods if (node := spec_of(pod).get("nodeName"))}
        now = self._clock.monotonic()
        missing = used - known
        self._missing_since = {node: self._missing_since.get(node, now) for node in missing}
        gone = set()
        for node, since in self._missing_since.items():
            if now - since >= QUARANTINE and not await self._exists(node):
                gone.add(node)
        return [pod for pod in pods if spec_of(pod).get("nodeName") in gone]

    async def _exists(self, node: str) -> bool:
        try:
            await self._node_client.get(node)
        except errors.NotFound:
            return False
        return True

    def _out_of_service(self, pods: Iterable[Object]) -> list[Object]:
        lost = {
            name_of(node)
            for node in self._nodes.lister.list()
            if not conditions.is_true(node, "Ready")
            and any(taint.get("key") == taints.OUT_OF_SERVICE for taint in spec_of(node).get("taints") or [])
        }
        return [pod for pod in pods if is_deleting(pod) and spec_of(pod).get("nodeName") in lost]

    async def _remove(self, pod: Object, why: str | None) -> None:
        log.info("collecting pod %s", logging.name(pod))
        try:
            if why is not None and not pod_status.is_terminal(pod):
                await self._mark_failed(pod, why)
            await self._resource.delete(
                name_of(pod), namespace_of(pod), grace_period_seconds=0, preconditions={"uid": uid_of(pod)}
            )
        except (errors.NotFound, errors.Conflict):
            return

    async def _mark_failed(self, pod: Object, why: str) -> None:
        """A Job must see that the pod was disrupted, not that it failed by itself."""
        changed = copy(pod)
        changed["status"]["phase"] = pod_status.FAILED
        disrupted = {
            "type": pod_status.DISRUPTION_TARGET,
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": why,
        }
        listed = changed["status"].setdefault("conditions", [])
        conditions.set_condition(listed, pod_status.observed(pod, disrupted), self._clock.now())
        patch = {"metadata": {"uid": uid_of(pod)}, "status": changed["status"]}
        await self._resource.patch(name_of(pod), patch, namespace_of(pod), subresource="status")


def surplus(pods: Iterable[Object], threshold: int) -> list[Object]:
    """Finished pods beyond the threshold, evicted and oldest ones first; none when there is no threshold."""
    finished = [pod for pod in pods if pod_status.is_terminal(pod)]
    if threshold <= 0 or len(finished) <= threshold:
        return []
    finished.sort(
        key=lambda pod: ((pod.get("status") or {}).get("reason") != "Evicted", _created(pod), name_of(pod))
    )
    return finished[: len(finished) - threshold]


def _created(pod: Object) -> str:
    return pod["metadata"].get("creationTimestamp") or ""
