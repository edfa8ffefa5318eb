"""How far each resize is: what the pod's conditions say, and the events.

    allocated ──▶ ResizeStarted ──▶ in progress ──▶ ResizeCompleted
        │                               └──▶ ResizeError: in progress, with the reason Error
        └──▶ ResizeDeferred, ResizeInfeasible: pending

Source: https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/#pod-resize-status
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from kubarium.apimachinery.object import Object, generation_of, spec_of, uid_of
from kubarium.component_base.metrics import Labels
from kubelet import metrics
from kubelet.resources.allocation import DEFERRED, IN_PROGRESS, INFEASIBLE, PENDING, Allocated
from kubelet.runtime.inputs import Recorder

ERROR = "Error"


@dataclass(slots=True)
class _Resize:
    """What is known of one pod."""

    pending: Object | None = None
    in_progress: bool = False
    error: str = ""


class Resizes:
    """Remembers by pod what became of its last wish."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._known: dict[str, _Resize] = {}
        metrics.PENDING_RESIZES.read = self._count_pending
        metrics.IN_PROGRESS_RESIZES.read = lambda: [((), float(sum(one.in_progress for one in self._all())))]

    def decided(self, pod: Object, promised: Allocated) -> None:
        """The wish was promised, refused for now, or there was none."""
        known = self._known.get(uid_of(pod)) or _Resize()
        if promised.resized:
            self._known[uid_of(pod)] = _Resize(in_progress=True)
            self._tell(promised.pod, "Normal", "ResizeStarted", "started")
            return
        pending = promised.pending
        if pending is not None and not _same(known.pending, pending):
            reason = pending["reason"]
            what = promised.lacks if reason == DEFERRED else reason
            self._tell(pod, "Warning", f"Resize{reason}", what, pending["message"])
            if reason == INFEASIBLE:  # there is no other cause here
                metrics.INFEASIBLE_RESIZES.add(("insufficient_node_allocatable",))
        known.pending = pending
        if pending is not None or known.in_progress:
            self._known[uid_of(pod)] = known
        else:
            self._known.pop(uid_of(pod), None)

    def tried(self, pod: Object, error: str, seconds: float = 0.0) -> None:
        """The runtime was told, and took its time; `error` says why it could not be done."""
        known = self._known.get(uid_of(pod))
        if error or (known is not None and known.in_progress):
            metrics.RESIZE_MILLISECONDS.observe(("false" if error else "true",), 1000 * seconds)
        if known is None:
            if not error:
                return
            known = self._known[uid_of(pod)] = _Resize(in_progress=True)
        if error and not known.error:
            self._tell(pod, "Warning", "ResizeError", "error", error)
        known.error = error

    def conditions(self, pod: Object, unsettled: Sequence[str]) -> list[Object]:
        """What is said of the pod, of which these containers are not yet as promised."""
        known = self._known.get(uid_of(pod)) or _Resize()
        found = [known.pending] if known.pending else []
        if unsettled:
            condition: Object = {"type": IN_PROGRESS, "status": "True"}
            if known.error:
                condition |= {"reason": ERROR, "message": known.error}
            if generation_of(pod):
                condition["observedGeneration"] = generation_of(pod)
            found.append(condition)
        elif known.in_progress:
            known.in_progress, known.error = False, ""
            self._tell(pod, "Normal", "ResizeCompleted", "completed")
        return found

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._known.pop(uid, None)

    def _all(self) -> list[_Resize]:
        return [*self._known.values()]

    def _count_pending(self) -> list[tuple[Labels, float]]:
        found = {DEFERRED: 0, INFEASIBLE: 0}
        for one in self._all():
            if one.pending is not None:
                found[one.pending["reason"]] += 1
        return [((reason.lower(),), float(count)) for reason, count in found.items()]

    def _tell(self, pod: Object, type: str, reason: str, what: str, error: str = "") -> None:
        self._recorder.event(pod, type, reason, f"Pod resize {what}: {_summary(pod, error)}")


def _same(known: Object | None, condition: Object) -> bool:
    return (
        known is not None
        and known["type"] == PENDING
        and all(known.get(key) == condition.get(key) for key in ("reason", "message", "observedGeneration"))
    )


def _summary(pod: Object, error: str) -> str:
    """The resources of all containers, as JSON."""
    found: Object = {}
    for part in ("initContainers", "containers"):
        listed = [
            {"name": one.get("name"), "resources": _resources(one)} for one in spec_of(pod).get(part) or ()
        ]
        if listed:
            found[part] = listed
    if generation_of(pod):
        found["generation"] = generation_of(pod)
    if error:
        found["error"] = error
    return orjson.dumps(found).decode()


def _resources(container: Object) -> Object:
    wanted = container.get("resources") or {}
    return {side: dict(sorted(wanted[side].items())) for side in ("limits", "requests") if wanted.get(side)}
