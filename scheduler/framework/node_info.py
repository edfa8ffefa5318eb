"""One node with its pods: what the columns cannot say, such as names, and who could be asked to leave."""

from __future__ import annotations

from kubarium.apimachinery.object import Object
from scheduler.framework.pod_info import PodInfo


class NodeInfo:
    """A node, its place in the columns, and the pods on it (assumed ones included)."""

    __slots__ = ("index", "name", "node", "pods")

    def __init__(self, node: Object, index: int) -> None:
        self.node = node
        self.name: str = node["metadata"]["name"]
        self.index = index
        self.pods: dict[str, PodInfo] = {}  # by uid

    @property
    def labels(self) -> dict[str, str]:
        """The node's labels."""
        return self.node["metadata"].get("labels") or {}

    @property
    def taints(self) -> list[Object]:
        """The node's taints."""
        return (self.node.get("spec") or {}).get("taints") or []

    def __repr__(self) -> str:
        return f"NodeInfo({self.name}, {len(self.pods)} pods)"
