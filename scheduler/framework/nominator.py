"""Pods for which room was made on a node, and which have not come to sit there yet."""

from __future__ import annotations

from scheduler.framework.pod_info import PodInfo


class Nominator:
    """Which pods are promised which node. Others of lower or equal priority must leave their room alone."""

    def __init__(self) -> None:
        self._node_of: dict[str, str] = {}
        self._pods_on: dict[str, dict[str, PodInfo]] = {}

    def add(self, pod: PodInfo, node: str) -> None:
        """Promise a node to a pod."""
        self.remove(pod)
        self._node_of[pod.uid] = node
        self._pods_on.setdefault(node, {})[pod.uid] = pod

    def remove(self, pod: PodInfo) -> None:
        """The promise is kept or withdrawn."""
        node = self._node_of.pop(pod.uid, None)
        if node is not None:
            pods = self._pods_on[node]
            del pods[pod.uid]
            if not pods:
                del self._pods_on[node]

    def node_of(self, pod: PodInfo) -> str:
        """The node that was promised to a pod, or nothing."""
        return self._node_of.get(pod.uid, "")

    def pods_on(self, node: str) -> list[PodInfo]:
        """Whom a node was promised to."""
        return list(self._pods_on.get(node, {}).values())

    def ahead_of(self, pod: PodInfo) -> list[tuple[str, PodInfo]]:
        """The promises that this pod must respect: to others of at least its priority."""
        if not self._pods_on:
            return []
        return [
            (node, other)
            for node, pods in self._pods_on.items()
            for other in pods.values()
            if other.priority >= pod.priority and other.uid != pod.uid
        ]
