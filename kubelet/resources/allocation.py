"""In-place resize: what each container was promised, and whether a new wish can be promised now.

    spec changes ──▶ fits? ──no──▶ PodResizePending (Deferred: not now, Infeasible: never on this node)
                       │yes
                       ▼
                   allocated = spec ──▶ runtime told ──▶ PodResizeInProgress until the runtime says so

The rest of the kubelet sees a pod with its allocated resources. Promises are kept in a file, so that a restarted
kubelet does not take a pending wish for a promise.
Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod import resources
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery.object import Object, generation_of, spec_of, status_of, uid_of
from kubarium.component_base import logging
from kubelet import checkpoint

log = logging.get(__name__)

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
DEFERRED, INFEASIBLE = "Deferred", "Infeasible"
WHOLE = ""  # no container has this name
_QOS = ("Guaranteed", "Burstable", "BestEffort")


@dataclass(frozen=True, slots=True)
class Allocated:
    """A pod as it is promised, and the condition that says why it is not yet as it is wished."""

    pod: Object
    pending: Object | None = None
    lacks: str = ""  # what the node has too little of, if the wish is only deferred
    resized: bool = False  # just now


class Allocations:
    """Promised resources by pod and container."""

    def __init__(
        self, file: Path, allocatable: Callable[[], Object], others: Callable[[str], Iterable[Object]]
    ) -> None:
        self._file = file
        self._allocatable = allocatable
        self._others = others  # every other active pod, as wished
        self._promised: dict[str, dict[str, Any]] = checkpoint.read(file) or {}
        self._waiting: dict[str, Object] = {}  # pods whose wish is deferred, the first to wish first
        self._granted: set[str] = set()  # of those, promised since their pods were last looked at
        self._is_saved = True

    def allocate(self, pod: Object) -> Allocated:
        """Promise what is wished if it can be had; the answer is the pod to work with.

        Nothing may be done about it before `save`. Many new pods are promised what they want and then saved at once.
        """
        uid, wished = uid_of(pod), _resources(pod)
        promised = self._promised.get(uid)
        granted = uid in self._granted
        self._granted.discard(uid)
        if promised is None or set(promised) != set(wished):
            self._promise(uid, wished)
            return Allocated(pod)
        if promised == wished:
            self._waiting.pop(uid, None)
            return Allocated(pod, resized=granted)
        refusal = self._refuse(pod)
        if refusal is None:
            log.info("resize of %s allocated", logging.name(pod))
            self._waiting.pop(uid, None)
            self._promise(uid, wished)
            return Allocated(pod, resized=True)
        condition, lacks = refusal
        if condition["reason"] == INFEASIBLE or _resources(self._waiting.get(uid) or {}) != wished:
            self._waiting.pop(uid, None)  # a new wish stands behind the others
        if condition["reason"] == DEFERRED:
            self._waiting[uid] = pod
        return Allocated(self.as_promised(pod), condition, lacks)

    def save(self) -> None:
        """Write down what has been promised since the last time."""
        if not self._is_saved:
            self._save()

    def retry(self) -> list[str]:
        """Something may have become free: promise what can be had now, the most important pod first.

        Each promise may free something else in turn. The answer are the pods that got what they waited for.
        """
        granted: list[str] = []
        while True:
            order = sorted(self._waiting.values(), key=_importance)
            found = next((pod for pod in order if self._refuse(pod) is None), None)
            if found is None:
                self.save()
                return granted
            uid = uid_of(found)
            log.info("deferred resize of %s allocated", logging.name(found))
            del self._waiting[uid]
            self._granted.add(uid)
            self._promise(uid, _resources(found))
            granted.append(uid)

    def as_promised(self, pod: Object) -> Object:
        """The pod with the resources that it has been promised."""
        promised = self._promised.get(uid_of(pod))
        if not promised or promised == _resources(pod):
            return pod
        spec = dict(pod["spec"])
        if WHOLE in promised:
            spec["resources"] = promised[WHOLE]
        for key in ("initContainers", "containers"):
            if spec.get(key):
                spec[key] = [
                    {**one, "resources": promised[one["name"]]} if one["name"] in promised else one
                    for one in spec[key]
                ]
        return {**pod, "spec": spec}

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._waiting.pop(uid, None)
        self._granted.discard(uid)
        if self._promised.pop(uid, None) is not None:
            self._save()

    def _refuse(self, pod: Object) -> tuple[Object, str] | None:
        allocatable = resources.amounts(self._allocatable())
        wanted = resources.requests_of({**pod, "status": {}})
        used: resources.Amounts = {}
        for other in self._others(uid_of(pod)):
            for resource, amount in resources.requests_of({**self.as_promised(other), "status": {}}).items():
                used[resource] = used.get(resource, 0) + amount
        for resource in ("cpu", "memory"):
            amount, whole = wanted.get(resource, 0), allocatable.get(resource, 0)
            if amount > whole:
                text = f"Node didn't have enough capacity: {resource}, requested: {amount}, capacity: {whole}"
                return _pending(pod, INFEASIBLE, text), ""
        for resource in ("cpu", "memory"):
            amount, whole = wanted.get(resource, 0), allocatable.get(resource, 0)
            if amount > whole - used.get(resource, 0):
                text = (
                    f"Node didn't have enough resource: {resource}, requested: {amount}, "
                    f"used: {used.get(resource, 0)}, capacity: {whole}"
                )
                return _pending(pod, DEFERRED, text), f"OutOf{resource}"
        return None

    def _promise(self, uid: str, wished: dict[str, Any]) -> None:
        self._promised[uid] = wished
        self._is_saved = False

    def _save(self) -> None:
        try:
            checkpoint.write(self._file, self._promised)
            self._is_saved = True
        except OSError as error:
            log.warning("allocated resources not saved: %s", error)


def _resources(pod: Object) -> dict[str, Any]:
    """Resources of the pod as a whole and by container, of those containers that can be resized."""
    resizable = [*pod_containers.containers_of(pod)]
    resizable += [one for one in pod_containers.init_containers_of(pod) if is_restartable_init(one)]
    found = {one["name"]: one.get("resources") or {} for one in resizable}
    whole = (pod.get("spec") or {}).get("resources")
    return {**found, WHOLE: whole} if whole else found


def _importance(pod: Object) -> tuple[int, int]:
    """By priority, then by quality of service; the smallest is the most important."""
    qos = status_of(pod).get("qosClass") or resources.qos_class(pod)
    return -(spec_of(pod).get("priority") or 0), _QOS.index(qos)


def _pending(pod: Object, reason: str, message: str) -> Object:
    condition = {"type": PENDING, "status": "True", "reason": reason, "message": message}
    return {**condition, "observedGeneration": generation_of(pod)} if generation_of(pod) else condition
