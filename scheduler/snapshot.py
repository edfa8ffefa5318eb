"""What if? The picture of the cluster with some pods gone or come, put back as it was afterwards."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo


class WhatIf:
    """Moves pods in the live columns and undoes it at the end of the `with` block.

    Safe because nothing else runs meanwhile: there must be no await inside the block.
    """

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self._origins: dict[PodInfo, int] = {}  # where each pod that was moved had been (-1: nowhere)
        self._stamps: dict[int, int] = {}  # of the places that were changed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.undo()

    def remove(self, pod: PodInfo) -> None:
        """Without this pod."""
        self._origins.setdefault(pod, pod.node)
        self._stamps.setdefault(pod.node, int(self.nodes.stamps[pod.node]))
        self.nodes.take_pod(pod)

    def add(self, pod: PodInfo, place: int) -> None:
        """With this pod on that node."""
        self._origins.setdefault(pod, pod.node)
        self._stamps.setdefault(place, int(self.nodes.stamps[place]))
        self.nodes.put_pod(pod, place)

    def undo(self) -> None:
        """Back to how it was."""
        for pod, place in self._origins.items():
            if pod.node == place:
                continue
            if pod.node >= 0:
                self.nodes.take_pod(pod)
            if place >= 0:
                self.nodes.put_pod(pod, place)
        self._origins.clear()
        for place, stamp in self._stamps.items():
            self.nodes.stamps[place] = stamp  # nothing has changed there, after all
        self._stamps.clear()
