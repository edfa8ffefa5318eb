"""No node has room: let less important pods make it."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from scheduler.framework.interface import (
    Action,
    Code,
    CycleState,
    EventHint,
    Handle,
    PostFilterPlugin,
    PostFilterResult,
    PreEnqueuePlugin,
    Status,
)
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.verdict import Verdict
from scheduler.preemption import Preemption

MAKING_ROOM = Status(Code.UNRESOLVABLE, "waiting for the preemption for this pod to be finished")


class DefaultPreemption(PreEnqueuePlugin, PostFilterPlugin):
    """Looks for victims of lower priority, and nominates the node that they leave."""

    name = "DefaultPreemption"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        share, least = args.get("minCandidateNodesPercentage"), args.get("minCandidateNodesAbsolute")
        self.preemption = Preemption(
            handle,
            handle.informers.informer("policy/v1", "poddisruptionbudgets").lister,
            share=(10 if share is None else share) / 100,
            least=100 if least is None else least,
        )

    def events(self) -> list[EventHint]:
        return [EventHint("AssignedPod", Action.DELETE)]  # of a victim: it may be tried again

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        return MAKING_ROOM if self.preemption.is_making_room_for(pod) else None

    async def post_filter(self, state: CycleState, pod: PodInfo, verdict: Verdict) -> PostFilterResult:
        return await self.preemption.preempt(state, pod, verdict)
