"""All sources of pods become one stream of changes for the sync loop.

A pod is known by its uid, so that a namesake made after a deletion is another pod. An update that touches nothing the
kubelet acts on (status written by itself, say) becomes `PodReconciled`.
"""

from __future__ import annotations

from collections.abc import Callable

from kubarium.apimachinery.object import Object, annotations_of, labels_of, uid_of
from kubelet.events import Change, PodAdded, PodReconciled, PodRemoved, PodUpdated


class Merge:
    """Remembers what each source said last, and says what is new."""

    def __init__(self, emit: Callable[[Change], None]) -> None:
        self._emit = emit
        self._known: dict[tuple[str, str], Object] = {}

    def put(self, source: str, pod: Object) -> None:
        """The source has this pod now."""
        key = (source, uid_of(pod))
        old = self._known.get(key)
        self._known[key] = pod
        if old is None:
            self._emit(PodAdded(pod))
        elif _wish(old) != _wish(pod):
            self._emit(PodUpdated(pod))
        elif old != pod:
            self._emit(PodReconciled(pod))

    def remove(self, source: str, pod: Object) -> None:
        """The source does not have this pod any more."""
        if self._known.pop((source, uid_of(pod)), None) is not None:
            self._emit(PodRemoved(pod))

    def replace(self, source: str, pods: list[Object]) -> None:
        """The source has exactly these pods now."""
        present = {(source, uid_of(pod)) for pod in pods}
        for key in [key for key in self._known if key[0] == source and key not in present]:
            self._emit(PodRemoved(self._known.pop(key)))
        for pod in pods:
            self.put(source, pod)


def _wish(pod: Object) -> tuple[object, ...]:
    metadata = pod.get("metadata") or {}
    return (
        pod.get("spec"),
        labels_of(pod),
        annotations_of(pod),
        metadata.get("deletionTimestamp"),
        metadata.get("deletionGracePeriodSeconds"),
    )
