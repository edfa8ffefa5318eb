"""Informer events -> cache and queue: what each change means for placing pods."""

from __future__ import annotations

import time
from collections.abc import Container

from kubarium.api.core.pod.status import is_scheduled, is_terminal
from kubarium.apimachinery.object import Object, is_deleting, labels_of, name_of, uid_of
from kubarium.client.informer import Informers
from scheduler.cache import Cache, requests_differently
from scheduler.framework import metrics
from scheduler.framework.interface import LIVING_PODS, POD_DELETED, Action, ClusterEvent, EventHint
from scheduler.framework.pod_counts import PodCounts
from scheduler.framework.pod_info import PodInfo
from scheduler.queue import SchedulingQueue

OTHER_KINDS = [
    # API version, resource, name in cluster events: changes here may let a waiting pod be scheduled
    ("v1", "persistentvolumes", "PersistentVolume"),
    ("v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    ("storage.k8s.io/v1", "storageclasses", "StorageClass"),
    ("storage.k8s.io/v1", "csinodes", "CSINode"),
    ("storage.k8s.io/v1", "csidrivers", "CSIDriver"),
    ("storage.k8s.io/v1", "csistoragecapacities", "CSIStorageCapacity"),
    ("storage.k8s.io/v1", "volumeattachments", "VolumeAttachment"),
    ("resource.k8s.io/v1", "resourceclaims", "ResourceClaim"),
    ("resource.k8s.io/v1", "resourceslices", "ResourceSlice"),
    ("resource.k8s.io/v1", "deviceclasses", "DeviceClass"),
]

NODE_ADDED = ClusterEvent("Node", Action.ADD, "NodeAdd")
NODE_DELETED = ClusterEvent("Node", Action.DELETE, "NodeDelete")
POD_ADDED = ClusterEvent("AssignedPod", Action.ADD, "AssignedPodAdd")
ANYTHING = [
    EventHint(kind, ~0)
    for kind in ("Node", "AssignedPod", "UnscheduledPod", *(kind for _, _, kind in OTHER_KINDS))
]


def without_managed_fields(obj: Object) -> Object:
    """The part of an object that nobody here reads is large: drop it before it is kept."""
    obj["metadata"].pop("managedFields", None)
    return obj


class EventHandlers:
    """Listens to pods, nodes and namespaces, and tells cache and queue."""

    def __init__(
        self, cache: Cache, queue: SchedulingQueue, counts: PodCounts, scheduler_names: Container[str]
    ) -> None:
        self._cache, self._queue, self._counts = cache, queue, counts
        self._names = scheduler_names

    def register(self, informers: Informers) -> None:
        """Ask for everything that decides where a pod may run."""
        pods = informers.informer("v1", "pods", field_selector=LIVING_PODS)
        nodes = informers.informer("v1", "nodes")
        namespaces = informers.informer("v1", "namespaces")
        namespaces.add_handler(self._namespace_added, self._namespace_changed, self._namespace_deleted)
        nodes.add_handler(self._node_added, self._node_changed, self._node_deleted)
        pods.add_handler(self._pod_added, self._pod_changed, self._pod_deleted)
        for api_version, resource, kind in OTHER_KINDS:
            self._wake_on(informers, api_version, resource, kind)

    def _wake_on(self, informers: Informers, api_version: str, resource: str, kind: str) -> None:
        added = ClusterEvent(kind, Action.ADD, f"{kind}Add")
        changed = ClusterEvent(kind, Action.UPDATE, f"{kind}Update")
        deleted = ClusterEvent(kind, Action.DELETE, f"{kind}Delete")
        informers.informer(api_version, resource).add_handler(
            lambda obj, initial: self._tell(added, None, obj, time.perf_counter()),
            lambda old, new: self._tell(changed, old, new, time.perf_counter()),
            lambda obj: self._tell(deleted, obj, None, time.perf_counter()),
        )

    def _tell(self, event: ClusterEvent, old: Object | None, new: Object | None, since: float) -> None:
        self._queue.happened(event, old, new)
        metrics.event_handled(event.label, since)

    # ---- nodes

    def _node_added(self, node: Object, initial: bool) -> None:
        since = time.perf_counter()
        self._cache.put_node(node)
        self._tell(NODE_ADDED, None, node, since)

    def _node_changed(self, old: Object, new: Object) -> None:
        since = time.perf_counter()
        self._cache.put_node(new)
        action = changes_of_node(old, new)
        if action:
            self._tell(ClusterEvent("Node", action, _label(action)), old, new, since)

    def _node_deleted(self, node: Object) -> None:
        since = time.perf_counter()
        self._cache.remove_node(name_of(node))
        self._tell(NODE_DELETED, node, None, since)

    # ---- pods

    def _pod_added(self, pod: Object, initial: bool) -> None:
        since = time.perf_counter()
        if is_terminal(pod):
            return
        if is_scheduled(pod):
            self._cache.put_pod(pod)
            self._tell(POD_ADDED, None, pod, since)
        elif self._is_ours(pod):
            self._queue.add(PodInfo(pod))
            metrics.event_handled("UnscheduledPodAdd", since)

    def _pod_changed(self, old: Object, new: Object) -> None:
        if uid_of(old) != uid_of(new):  # deleted and made again while nobody was looking
            self._pod_deleted(old)
            self._pod_added(new, False)
        elif is_terminal(new):
            self._pod_deleted(new)
        elif is_scheduled(new):
            self._assigned_pod_changed(old, new)
        elif self._is_ours(new):
            self._waiting_pod_changed(old, new)

    def _assigned_pod_changed(self, old: Object, new: Object) -> None:
        since = time.perf_counter()
        if not is_scheduled(old):
            self._queue.remove(uid_of(new))
            self._cache.put_pod(new)
            self._tell(POD_ADDED, None, new, since)
            return
        self._cache.put_pod(new)
        action = 0
        if labels_of(old) != labels_of(new):
            action |= Action.POD_LABEL
        if requests_differently(old, new):
            action |= Action.POD_SCALE_DOWN
        if is_deleting(old) != is_deleting(new):
            action |= Action.UPDATE
        if action:
            self._tell(ClusterEvent("AssignedPod", action, "AssignedPodUpdate"), old, new, since)

    def _waiting_pod_changed(self, old: Object, new: Object) -> None:
        since = time.perf_counter()
        if is_deleting(new):
            self._queue.remove(uid_of(new))
            metrics.event_handled("UnscheduledPodDelete", since)
        elif self._queue.get(uid_of(new)) is not None:
            self._queue.update(old, PodInfo(new))
            metrics.event_handled("UnscheduledPodUpdate", since)

    def _pod_deleted(self, pod: Object) -> None:
        since = time.perf_counter()
        self._queue.remove(uid_of(pod))
        if self._cache.remove_pod(pod) is not None:
            self._tell(POD_DELETED, pod, None, since)

    def _is_ours(self, pod: Object) -> bool:
        name = (pod.get("spec") or {}).get("schedulerName") or "default-scheduler"
        return name in self._names and not is_deleting(pod)

    # ---- namespaces

    def _namespace_added(self, namespace: Object, initial: bool) -> None:
        self._counts.set_namespace(name_of(namespace), labels_of(namespace))

    def _namespace_changed(self, old: Object, new: Object) -> None:
        self._counts.set_namespace(name_of(new), labels_of(new))

    def _namespace_deleted(self, namespace: Object) -> None:
        self._counts.set_namespace(name_of(namespace), None)


def changes_of_node(old: Object, new: Object) -> int:
    """Which of the things that scheduling looks at are different; heartbeats are none of them."""
    action = 0
    if labels_of(old) != labels_of(new):
        action |= Action.NODE_LABEL
    before, now = old.get("spec") or {}, new.get("spec") or {}
    if before.get("taints") != now.get("taints") or before.get("unschedulable") != now.get("unschedulable"):
        action |= Action.NODE_TAINT
    status_before, status_now = old.get("status") or {}, new.get("status") or {}
    if status_before.get("allocatable") != status_now.get("allocatable"):
        action |= Action.NODE_ALLOCATABLE
    if status_before.get("declaredFeatures") != status_now.get("declaredFeatures"):
        action |= Action.NODE_DECLARED_FEATURE
    if _condition_states(status_before) != _condition_states(status_now):
        action |= Action.NODE_CONDITION
    return action


def _condition_states(status: Object) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in status.get("conditions") or ()}


def _label(action: int) -> str:
    """Upstream's name for the event: the first of its parts."""
    names = {
        Action.NODE_ALLOCATABLE: "NodeAllocatableChange",
        Action.NODE_LABEL: "NodeLabelChange",
        Action.NODE_TAINT: "NodeTaintChange",
        Action.NODE_CONDITION: "NodeConditionChange",
        Action.NODE_DECLARED_FEATURE: "NodeDeclaredFeatureChange",
    }
    return next(name for part, name in names.items() if part & action)
