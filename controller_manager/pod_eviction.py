"""Make a pod leave because of a taint, of its node or of a device: say so, mark it as disrupted, delete it."""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import Object, copy, key_of, name_of, namespace_of, uid_of
from kubarium.client.events import EventRecorder
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


@dataclass(frozen=True)
class Cause:
    """What events and the condition say."""

    event: str
    reason: str
    message: str


class PodEviction:
    """Evicts pods for one cause."""

    def __init__(self, client: Client, events: EventRecorder, clock: Clock, cause: Cause) -> None:
        self._pods = client.resource("v1", "pods")
        self._events, self._clock, self._cause = events, clock, cause

    async def evict(self, pod: Object) -> None:
        """Delete the pod; one that is gone already, or another of its name, is left alone."""
        self._events.event(pod, "Normal", self._cause.event, f"Marking for deletion Pod {key_of(pod)}")
        changed = copy(pod)
        disrupted = {
            "type": pod_status.DISRUPTION_TARGET,
            "status": "True",
            "reason": self._cause.reason,
            "message": self._cause.message,
        }
        listed = changed.setdefault("status", {}).setdefault("conditions", [])
        try:
            if conditions.set_condition(listed, pod_status.observed(pod, disrupted), self._clock.now()):
                await self._pods.update_status(changed)
            await self._pods.delete(name_of(pod), namespace_of(pod), preconditions={"uid": uid_of(pod)})
        except errors.NotFound:
            return

    def call_off(self, pod: Object) -> None:
        """It may stay after all."""
        self._events.event(pod, "Normal", self._cause.event, f"Cancelling deletion of Pod {key_of(pod)}")
