"""A pod with scheduling gates is not looked at before they are gone."""

from __future__ import annotations

from scheduler.framework.interface import Action, Code, EventHint, PreEnqueuePlugin, Status
from scheduler.framework.pod_info import PodInfo


class SchedulingGates(PreEnqueuePlugin):
    """Holds pods back that have `spec.schedulingGates`."""

    name = "SchedulingGates"

    def events(self) -> list[EventHint]:
        return [EventHint("UnscheduledPod", Action.POD_GATES_ELIMINATED)]

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        gates = [gate["name"] for gate in pod.spec.get("schedulingGates") or ()]
        if not gates:
            return None
        return Status(Code.UNRESOLVABLE, f"waiting for scheduling gates: [{' '.join(gates)}]")
