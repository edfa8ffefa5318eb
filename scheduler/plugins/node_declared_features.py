"""Some fields of a pod only mean something to kubelets that know them: such pods go to nodes that say so.

Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/5328-node-declared-features
"""

from __future__ import annotations

from collections.abc import Iterator

from kubarium.apimachinery.object import Object, status_of
from scheduler.framework.interface import (
    SKIP,
    Action,
    CycleState,
    EventHint,
    FilterPlugin,
    PreFilterPlugin,
    Refusal,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON = "node(s) didn't match Pod's required features"

RESTART_ALL = "RestartAllContainersOnContainerExits"
HOST_NETWORK_USERS = "UserNamespacesHostNetworkSupport"


class NodeDeclaredFeatures(PreFilterPlugin, FilterPlugin):
    """Rules out nodes whose kubelet does not know what the pod needs."""

    name = "NodeDeclaredFeatures"

    def events(self) -> list[EventHint]:
        return [
            EventHint("Node", Action.ADD | Action.NODE_DECLARED_FEATURE, _has_all),
            EventHint("UnscheduledPod", Action.UPDATE),
        ]

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        wanted = features_of(pod.spec)
        if not wanted:
            return SKIP
        state.data[self.name] = wanted
        return None

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        wanted: frozenset[str] = state.data[self.name]
        lacking = [
            info.index for info in nodes.infos if info is not None and not wanted <= declared_by(info.node)
        ]
        if lacking:
            yield Refusal(nodes.mask_of(lacking), REASON, resolvable=False)


def features_of(spec: Object) -> frozenset[str]:
    """The features that a pod needs."""
    found = set()
    if spec.get("hostNetwork") and spec.get("hostUsers") is False:
        found.add(HOST_NETWORK_USERS)
    containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
    if any(
        rule.get("action") == "RestartAllContainers"
        for container in containers
        for rule in container.get("restartPolicyRules") or ()
    ):
        found.add(RESTART_ALL)
    return frozenset(found)


def declared_by(node: Object) -> set[str]:
    """The features that a node's kubelet knows."""
    return set(status_of(node).get("declaredFeatures") or ())


def _has_all(pod: PodInfo, old: Object | None, new: Object | None) -> bool:
    return new is not None and features_of(pod.spec) <= declared_by(new)
