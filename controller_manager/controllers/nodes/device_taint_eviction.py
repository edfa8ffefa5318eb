"""NoExecute on devices: delete the pods that hold a tainted device when their claim's patience ends.

A driver writes taints into its ResourceSlices; what a claim tolerates is written beside each device that it was given.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from controller_manager.pod_eviction import Cause, PodEviction
from kubarium.api.core.pod import status as pod_status
from kubarium.api.resource import device as devices
from kubarium.api.resource import resource_claim as claims
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    is_deleting,
    key_of,
    namespace_of,
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
    "DeviceTaintManagerEviction",
    "DeletionByDeviceTaintManager",
    "Device Taint manager: deleting due to NoExecute taint",
)

API = "resource.k8s.io/v1"
Pool = tuple[str, str]
"""Driver and name of a pool of devices."""


class DeviceTaintEvictionController(Controller):
    """Evicts pods from devices that are not to be used any more."""

    name = "device-taint-eviction-controller"
    workers = 8

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int = 8
    ) -> None:
        self.workers = workers
        self.eviction = PodEviction(client, events, clock, CAUSE)
        self.pods = informers.informer("v1", "pods").lister
        held = informers.informer(API, "resourceclaims")
        held.add_index("pool", lambda claim: {f"{driver}/{pool}" for driver, pool in _pools_of(claim)})
        self.claims = held.lister
        offered = informers.informer(API, "resourceslices")
        offered.add_index("pool", lambda piece: ["/".join(_pool_of(piece))])
        self.slices = offered.lister
        self._waiting: dict[ObjectKey, str] = {}  # pods that are to go, with their uids
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "pods", keys=_if_it_has_claims, changed=_matters),
            Watch(API, "resourceclaims", keys=_pods_of),
            Watch(API, "resourceslices", keys=self._pods_on),
        ]

    def _pods_on(self, piece: Object) -> Iterator[ObjectKey]:
        for claim in self.claims.by_index("pool", "/".join(_pool_of(piece))):
            yield from _pods_of(claim)

    async def reconcile(self, key: ObjectKey) -> float | None:
        pod = self.pods.get(key)
        if pod is None or is_deleting(pod) or pod_status.is_terminal(pod) or not pod_status.is_scheduled(pod):
            self._waiting.pop(key, None)
            return None
        moment = self._end_of(pod)
        if moment is None:
            if self._waiting.pop(key, None) == uid_of(pod):
                self.eviction.call_off(pod)
            return None
        self._waiting[key] = uid_of(pod)
        wait = (moment - self.clock.now()).total_seconds()
        if wait > 0:
            return wait
        log.info("evicting pod %s from a tainted device", key)
        await self.eviction.evict(pod)
        self._waiting.pop(key, None)
        return None

    def _end_of(self, pod: Object) -> datetime | None:
        """When the pod has to go, if ever."""
        found = [self.claims.get(namespace_of(pod), name) for name in claims.names_for(pod)]
        held = [claim for claim in found if claim is not None and claims.is_reserved_for(claim, uid_of(pod))]
        return min((end for claim in held for end in self._ends_of(claim)), default=None)

    def _ends_of(self, claim: Object) -> Iterator[datetime]:
        for given in claims.results_of(claim):
            slices = self.slices.by_index("pool", f"{given['driver']}/{given['pool']}")
            for taint in devices.no_execute(devices.find(slices, given["device"])):
                end = devices.end_of_patience(taint, given.get("tolerations") or (), self.clock.now())
                if end is not None:
                    yield end


def _pools_of(claim: Object) -> Iterator[Pool]:
    return ((given["driver"], given["pool"]) for given in claims.results_of(claim))


def _pool_of(piece: Object) -> Pool:
    spec = spec_of(piece)
    return spec.get("driver") or "", (spec.get("pool") or {}).get("name") or ""


def _pods_of(claim: Object) -> Iterator[ObjectKey]:
    for consumer in claims.consumers_of(claim):
        if consumer.get("resource") == "pods" and not consumer.get("apiGroup"):
            yield ObjectKey(namespace_of(claim), consumer["name"])


def _if_it_has_claims(pod: Object) -> Iterable[ObjectKey]:
    return (key_of(pod),) if claims.names_for(pod) else ()


def _matters(old: Object, new: Object) -> bool:
    def view(pod: Object) -> tuple[object, ...]:
        return spec_of(pod).get("nodeName"), is_deleting(pod), pod_status.is_terminal(pod)

    return view(old) != view(new)
