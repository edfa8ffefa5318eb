"""What is where: nodes and the pods on them, including pods whose binding is only assumed.

An assumed pod counts from the moment its node is chosen. The informer confirms it; a failed binding makes
it be forgotten.
"""

from __future__ import annotations

from kubarium.apimachinery.object import Object, uid_of
from kubarium.component_base import logging
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

log = logging.get(__name__)


class Cache:
    """The only one who changes `nodes`, apart from a `WhatIf`, which leaves no trace."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._pods: dict[str, PodInfo] = {}  # with a node, by uid
        self._assumed: set[str] = set()
        self._homeless: dict[
            str, dict[str, PodInfo]
        ] = {}  # pods of nodes that are not known (yet), by node name

    # ---- nodes

    def put_node(self, node: Object) -> None:
        """A node came or changed."""
        info = self.nodes.put_node(node)
        for pod in self._homeless.pop(info.name, {}).values():
            self.nodes.put_pod(pod, info.index)

    def remove_node(self, name: str) -> None:
        """A node went; its pods stay known until they are deleted."""
        for pod in self.nodes.remove_node(name):
            self._homeless.setdefault(name, {})[pod.uid] = pod

    # ---- pods that have a node

    def put_pod(self, pod: Object) -> PodInfo:
        """The informer shows a pod with a node."""
        uid = uid_of(pod)
        known = self._pods.get(uid)
        node = pod["spec"]["nodeName"]
        if known is None:
            info = PodInfo(pod)
        elif not self._is_at(known, node):
            log.warning("pod %s was expected on another node than %s", known.key, node)
            info = PodInfo(pod)
        elif requests_differently(known.pod, pod):
            info = PodInfo(pod)
        elif _is_of_other_kind(known.pod, pod):
            info = known.renewed(pod)
            if known.node >= 0:
                self._assumed.discard(uid)
                self._pods[uid] = info
                self.nodes.renew_pod(known, info)
                return info
        else:
            self._assumed.discard(uid)
            if known.node >= 0 and _started(pod) != _started(known.pod):
                self.nodes.touch(known.node)  # preemption looks at who has run for longer
            known.pod = pod
            return known
        if known is not None:
            self._remove(known)
        self._place(info, node)
        return info

    def remove_pod(self, pod: Object) -> PodInfo | None:
        """A pod with a node was deleted, or has ended."""
        known = self._pods.get(uid_of(pod))
        if known is not None:
            self._remove(known)
        return known

    def assume(self, pod: PodInfo, node: str) -> None:
        """Act as if the pod were bound already."""
        self._place(pod, node)
        self._assumed.add(pod.uid)

    def forget(self, pod: PodInfo) -> None:
        """The binding failed. If the informer showed the pod on its node meanwhile, it did not really."""
        if pod.uid in self._assumed:
            self._remove(pod)

    def is_assumed(self, uid: str) -> bool:
        """Is a binding under way that the informer has not shown yet?"""
        return uid in self._assumed

    def has(self, uid: str) -> bool:
        """Does the pod have a node, as far as is known here?"""
        return uid in self._pods

    @property
    def pod_count(self) -> int:
        """Pods with a node."""
        return len(self._pods)

    @property
    def assumed_count(self) -> int:
        """Of these, pods whose binding has not been seen yet."""
        return len(self._assumed)

    def _is_at(self, pod: PodInfo, node: str) -> bool:
        if pod.node >= 0:
            return self.nodes.name_of(pod.node) == node
        return pod.uid in self._homeless.get(node, {})

    def _place(self, pod: PodInfo, node: str) -> None:
        self._pods[pod.uid] = pod
        place = self.nodes.index.get(node)
        if place is None:
            self._homeless.setdefault(node, {})[pod.uid] = pod
        else:
            self.nodes.put_pod(pod, place)

    def _remove(self, pod: PodInfo) -> None:
        self._pods.pop(pod.uid, None)
        self._assumed.discard(pod.uid)
        if pod.node >= 0:
            self.nodes.take_pod(pod)
            return
        for name, pods in list(self._homeless.items()):
            if pods.pop(pod.uid, None) is not None and not pods:
                del self._homeless[name]


def _is_of_other_kind(old: Object, new: Object) -> bool:
    """Did its labels change, or is it on its way out? Binding adds the labels of the node's zone."""
    before, now = old["metadata"], new["metadata"]
    return before.get("labels") != now.get("labels") or (
        ("deletionTimestamp" in before) != ("deletionTimestamp" in now)
    )


def requests_differently(old: Object, new: Object) -> bool:
    """After a pod's creation its requests can change by a resize only, which raises the generation.

    What is given up by it is free only when the kubelet has taken it away, which the status tells.
    """
    before, now = old["metadata"], new["metadata"]
    return (before.get("generation") != now.get("generation") and _containers(old) != _containers(new)) or (
        _allocated(old) != _allocated(new)
    )


def _started(pod: Object) -> str | None:
    return (pod.get("status") or {}).get("startTime")


def _containers(pod: Object) -> tuple[object, object]:
    spec = pod.get("spec") or {}
    return spec.get("containers"), spec.get("resources")


def _allocated(pod: Object) -> list[object]:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return [status["allocatedResources"] for status in statuses if "allocatedResources" in status]
