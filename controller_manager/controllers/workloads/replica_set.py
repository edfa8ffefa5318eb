"""ReplicaSet: as many pods as asked for. The model controller: read this one first.

1. Wait until the cache shows what we asked for last time (`Expectations`).
2. Claim the pods that belong to us: adopt orphans that match, release those that no longer do.
3. Too few: create in growing batches. Too many: delete, the least useful pod first.
4. Write what was counted into the status, if it changed.

The same loop serves the older ReplicationController: `replication_controller.py` says how that kind differs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from controller_manager.adoption import candidates
from controller_manager.pod_control import (
    BURST,
    failures_in,
    is_namespace_terminating,
    slow_start,
)
from controller_manager.pod_owner import PodOwner
from kubarium.api.apps import replica_set as replica_sets
from kubarium.api.core.pod import deletion_order
from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors, owners, time
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
    generation_of,
    is_deleting,
    key_of,
    labels_of,
    status_of,
    uid_of,
)
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock

log = logging.get(__name__)


class Kind(Protocol):
    """How the kinds that this loop serves differ."""

    controller: str
    api_version: str
    plural: str
    kind: str

    def selector_of(self, obj: Object) -> Selector:
        """Which pods belong to it."""
        ...


class ReplicaSets:
    """`apps/v1 ReplicaSet`."""

    controller = "replicaset-controller"
    api_version = "apps/v1"
    plural = "replicasets"
    kind = "ReplicaSet"

    def selector_of(self, obj: Object) -> Selector:
        return replica_sets.selector_of(obj)


class ReplicaSetController(PodOwner):
    """Keeps as many pods as each ReplicaSet asks for."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        kind: Kind | None = None,
        workers: int = 5,
    ) -> None:
        self.noun: Kind = kind or ReplicaSets()
        self.name = self.noun.controller
        self.api_version, self.plural, self.kind = self.noun.api_version, self.noun.plural, self.noun.kind
        super().__init__(client, informers, clock, events, workers=workers)

    def selector_of(self, owner: Object) -> Selector:
        return self.noun.selector_of(owner)

    async def reconcile(self, key: ObjectKey) -> float | None:
        replica_set = self.owners.get(key)
        if replica_set is None:
            self.expectations.forget(key)
            return None
        may_act = self.expectations.met(key)
        claimed = await self.adoption.claim(
            replica_set, self.selector_of(replica_set), self._unfinished_pods(replica_set)
        )
        active = [pod for pod in claimed if pod_status.is_active(pod)]
        failure: Exception | None = None
        if may_act and not is_deleting(replica_set):
            failure = await self._scale(replica_set, active)
        now = self.clock.now()
        leaving = sum(1 for pod in claimed if is_deleting(pod))
        status = next_status(replica_set, active, leaving, failure, now)
        await self._write_status(replica_set, status)
        if failure is not None:
            raise failure
        return seconds_to_availability(replica_set, active, now)

    def _unfinished_pods(self, replica_set: Object) -> list[Object]:
        return [pod for pod in candidates(self.pods, replica_set) if not pod_status.is_terminal(pod)]

    async def _scale(self, replica_set: Object, active: Sequence[Object]) -> Exception | None:
        missing = replica_sets.replicas_of(replica_set) - len(active)
        if missing > 0:
            return await self._create(replica_set, min(missing, BURST))
        if missing < 0:
            return await self._delete(replica_set, active, min(-missing, BURST))
        return None

    async def _create(self, replica_set: Object, count: int) -> Exception | None:
        key = key_of(replica_set)
        log.debug("%s %s: creating %d pods", self.kind, key, count)
        self.expectations.expect(key, creations=count)

        async def create_one(_: int) -> None:
            try:
                await self.control.create_from(replica_set, replica_sets.template_of(replica_set))
            except errors.StatusError as error:
                if not is_namespace_terminating(error):
                    raise
                self.expectations.creation_observed(key)  # it would be in vain for as long as this lasts

        done, failure = await slow_start(count, create_one)
        for _ in range(count - done):
            self.expectations.creation_observed(key)
        return failure

    async def _delete(self, replica_set: Object, active: Sequence[Object], count: int) -> Exception | None:
        key = key_of(replica_set)
        related = self._related_pods(replica_set)
        victims = deletion_order.in_order(active, related, self.clock.now())[:count]
        log.debug("%s %s: deleting %d pods", self.kind, key, count)
        self.expectations.expect(key, deletions=[uid_of(pod) for pod in victims])

        async def delete_one(pod: Object) -> None:
            with self.expectations.deleting(key, uid_of(pod)):
                await self.control.delete(replica_set, pod)

        results = await asyncio.gather(*map(delete_one, victims), return_exceptions=True)
        return next(iter(failures_in(results)), None)

    def _related_pods(self, replica_set: Object) -> list[Object]:
        """Active pods of all ReplicaSets with the same controller: siblings in one Deployment."""
        controller = owners.controller_of(replica_set)
        family = {uid_of(replica_set)}
        if controller is not None:
            for one in self.owners.list(replica_set["metadata"]["namespace"]):
                if (owners.controller_of(one) or {}).get("uid") == controller["uid"]:
                    family.add(uid_of(one))
        return [pod for uid in family for pod in self.pods.by_index("controller", uid)]

    async def _write_status(self, replica_set: Object, status: Object) -> None:
        if status == status_of(replica_set):
            return
        changed = copy(replica_set)
        changed["status"] = status
        await self.owner_client.update_status(changed)


def next_status(
    replica_set: Object, active: Sequence[Object], leaving: int, failure: Exception | None, now: datetime
) -> Object:
    """What was counted, as `status`."""
    wanted_labels = (
        (replica_sets.template_of(replica_set).get("metadata") or {}).get("labels") or {}
    ).items()
    minimum = replica_sets.min_ready_seconds_of(replica_set)
    counts = {
        "fullyLabeledReplicas": sum(1 for pod in active if wanted_labels <= labels_of(pod).items()),
        "readyReplicas": sum(1 for pod in active if pod_status.is_ready(pod)),
        "availableReplicas": sum(1 for pod in active if pod_status.is_available(pod, minimum, now)),
        "observedGeneration": generation_of(replica_set),
    }
    status: Object = {"replicas": len(active)}
    status |= {field: number for field, number in counts.items() if number}
    if replica_set.get("kind") != "ReplicationController":
        status["terminatingReplicas"] = leaving
    listed = _with_failure(replica_set, len(active), failure, now)
    if listed:
        status["conditions"] = listed
    return status


def _with_failure(replica_set: Object, size: int, failure: Exception | None, now: datetime) -> list[Object]:
    listed: list[Object] = copy({"of": status_of(replica_set).get("conditions") or []})["of"]
    present = conditions.find(listed, "ReplicaFailure")
    if failure is None:
        return [one for one in listed if one is not present]
    if present is None:
        too_few = size < replica_sets.replicas_of(replica_set)
        listed.append(
            {
                "type": "ReplicaFailure",
                "status": "True",
                "lastTransitionTime": time.format_time(now),
                "reason": "FailedCreate" if too_few else "FailedDelete",
                "message": str(failure),
            }
        )
    return listed


def seconds_to_availability(replica_set: Object, active: Sequence[Object], now: datetime) -> float | None:
    """When the next ready pod will have been ready for `minReadySeconds`."""
    minimum = replica_sets.min_ready_seconds_of(replica_set)
    if not minimum:
        return None
    moments = [since + timedelta(seconds=minimum) for pod in active if (since := pod_status.ready_since(pod))]
    waits = [(moment - now).total_seconds() for moment in moments if moment > now]
    return min(waits) + 0.001 if waits else None
