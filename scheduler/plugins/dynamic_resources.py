"""Pods with resource claims go where the claimed devices are.

Only claims that are allocated already are understood; a pod whose claim is not waits. Allocating devices from
ResourceSlices is not done here yet.
"""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object
from scheduler.framework import node_selection
from scheduler.framework.interface import (
    SKIP,
    Action,
    Code,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PreBindPlugin,
    PreFilterPlugin,
    Refusal,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON = "resourceclaim not available on the node"
REASON_UNALLOCATED = "cannot allocate all claims"


class DynamicResources(PreFilterPlugin, FilterPlugin, PreBindPlugin):
    """Rules out nodes from which an allocated claim cannot be used; reserves the claims for the pod."""

    name = "DynamicResources"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._claims = handle.informers.informer("resource.k8s.io/v1", "resourceclaims").lister
        self._claim_client = handle.client.resource("resource.k8s.io/v1", "resourceclaims")

    def events(self) -> list[EventHint]:
        return [
            EventHint("ResourceClaim", Action.ADD | Action.UPDATE),
            EventHint("UnscheduledPod", Action.UPDATE),
            EventHint("Node", Action.ADD | Action.NODE_LABEL),
        ]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if not pod.spec.get("resourceClaims"):
            return SKIP
        found = []
        for name in _claim_names(pod):
            claim = self._claims.get(pod.namespace, name) if name else None
            if claim is None:
                return Status(Code.UNRESOLVABLE, f'resourceclaim "{name}" not found')
            if "deletionTimestamp" in claim["metadata"]:
                return Status(Code.UNRESOLVABLE, f'resourceclaim "{name}" is being deleted')
            if not (claim.get("status") or {}).get("allocation"):
                return Status(Code.UNRESOLVABLE, REASON_UNALLOCATED)
            found.append(claim)
        state.data[self.name] = found
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        for claim in state.data.get(self.name) or ():
            selector = claim["status"]["allocation"].get("nodeSelector")
            if selector:
                reach = node_selection.reachable(selector.get("nodeSelectorTerms") or [], nodes)
                yield Refusal(~reach, REASON, resolvable=False)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        for claim in state.data.get(self.name) or ():
            users = claim["status"].get("reservedFor") or []
            if any(user.get("uid") == pod.uid for user in users):
                continue
            more = {"resource": "pods", "name": pod.name, "uid": pod.uid}
            metadata = claim["metadata"]
            patch = {
                "metadata": {"resourceVersion": metadata["resourceVersion"]},
                "status": {"reservedFor": [*users, more]},
            }
            try:
                await self._claim_client.patch(
                    metadata["name"], patch, pod.namespace, type="merge", subresource="status"
                )
            except StatusError as error:
                return Status(Code.ERROR, str(error))
        return None


def _claim_names(pod: PodInfo) -> Iterator[str]:
    """The claims that the pod names, or that were made for it from templates."""
    statuses = (pod.pod.get("status") or {}).get("resourceClaimStatuses") or ()
    made = {status["name"]: status.get("resourceClaimName") or "" for status in statuses}
    for entry in pod.spec["resourceClaims"]:
        yield entry.get("resourceClaimName") or made.get(entry["name"], "")
