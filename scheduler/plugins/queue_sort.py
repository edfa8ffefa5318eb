"""The order of the queue: higher priority first, then who has waited longer."""

from __future__ import annotations

from typing import Any

from scheduler.framework.interface import QueueSortPlugin
from scheduler.framework.pod_info import PodInfo


class PrioritySort(QueueSortPlugin):
    """By priority, then age."""

    name = "PrioritySort"

    def sort_key(self, pod: PodInfo, since: float) -> tuple[Any, ...]:
        return (-pod.priority, since)
