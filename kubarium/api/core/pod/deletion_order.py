"""Which pod goes first when there are too many: the least useful one.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-down-a-replicaset
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from kubarium.api.core.pod import status
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, annotations_of, spec_of, uid_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"

_PHASE_ORDER = {status.PENDING: 0, status.UNKNOWN: 1, status.RUNNING: 2}


def deletion_cost(pod: Object) -> int:
    """What the pod's owner says it costs to lose this pod; 0 when nothing or nonsense is said."""
    text = annotations_of(pod).get(DELETION_COST) or "0"
    try:
        return int(text)
    except ValueError:
        return 0


def ranks(pods: Sequence[Object], related: Iterable[Object]) -> list[int]:
    """For each pod how many active related pods share its node: crowded nodes give first."""
    crowd = Counter(spec_of(pod).get("nodeName") or "" for pod in related if status.is_active(pod))
    return [crowd[spec_of(pod).get("nodeName") or ""] for pod in pods]


def in_order(pods: Sequence[Object], related: Iterable[Object], now: datetime) -> list[Object]:
    """The pods, those to delete first at the front."""
    by_rank = zip(pods, ranks(pods, related), strict=True)
    return [pod for pod, rank in sorted(by_rank, key=lambda pair: _badness(pair[0], pair[1], now))]


def _badness(pod: Object, rank: int, now: datetime) -> tuple[Any, ...]:
    ready = status.is_ready(pod)
    return (
        status.is_scheduled(pod),
        _PHASE_ORDER.get(status.phase_of(pod), 2),
        ready,
        deletion_cost(pod),
        -rank,
        _age_class(status.ready_since(pod), now) if ready else 0,
        -status.restart_count(pod),
        _age_class(_created(pod), now),
        uid_of(pod),
    )


def _age_class(moment: datetime | None, now: datetime) -> int:
    """Ages are compared by their logarithm, so that not always the newest pod goes: about equal is equal."""
    if moment is None:
        return 0
    seconds = (now - moment).total_seconds()
    return int(math.log2(seconds)) + 1 if seconds >= 1 else 0


def _created(pod: Object) -> datetime:
    text = (pod.get("metadata") or {}).get("creationTimestamp")
    return time.parse_time(text) if text else datetime(9999, 1, 1, tzinfo=UTC)
