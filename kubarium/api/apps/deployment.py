"""`Deployment`: rollout strategies and their arithmetic, conditions, revisions."""

from __future__ import annotations

from datetime import datetime, timedelta

from kubarium.apimachinery import conditions, int_or_string, labels, time
from kubarium.apimachinery.object import Object, annotations_of, generation_of, spec_of, status_of

REVISION = "deployment.kubernetes.io/revision"
REVISION_HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED_REPLICAS = "deployment.kubernetes.io/desired-replicas"
MAX_REPLICAS = "deployment.kubernetes.io/max-replicas"
DEPRECATED_ROLLBACK = "deprecated.deployment.rollback.to"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

NOT_COPIED = frozenset(
    {LAST_APPLIED, REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, DEPRECATED_ROLLBACK}
)
"""Annotations of a Deployment that its ReplicaSets do not get."""

RECREATE = "Recreate"
ROLLING_UPDATE = "RollingUpdate"

NO_DEADLINE = 2**31 - 1
"""`progressDeadlineSeconds` with this value never expires."""


def replicas_of(deployment: Object) -> int:
    """How many pods are wanted."""
    wanted = spec_of(deployment).get("replicas")
    return 1 if wanted is None else int(wanted)


def strategy_of(deployment: Object) -> str:
    """RollingUpdate or Recreate."""
    return (spec_of(deployment).get("strategy") or {}).get("type") or ROLLING_UPDATE


def selector_of(deployment: Object) -> labels.Selector:
    """Which pods belong to it."""
    return labels.from_label_selector(spec_of(deployment).get("selector"))


def template_of(deployment: Object) -> Object:
    """What its pods look like."""
    found: Object = spec_of(deployment).get("template") or {}
    return found


def is_paused(deployment: Object) -> bool:
    """Has somebody stopped the rollout?"""
    return bool(spec_of(deployment).get("paused"))


def min_ready_seconds_of(deployment: Object) -> int:
    """How long a pod must be ready before it counts as available."""
    return int(spec_of(deployment).get("minReadySeconds") or 0)


def revision_history_limit_of(deployment: Object) -> int:
    """How many old ReplicaSets are kept."""
    limit = spec_of(deployment).get("revisionHistoryLimit")
    return 10 if limit is None else int(limit)


def surge_and_unavailable(deployment: Object) -> tuple[int, int]:
    """`maxSurge` and `maxUnavailable` as numbers; never both zero, or nothing could move."""
    if strategy_of(deployment) != ROLLING_UPDATE:
        return 0, 0
    rolling = (spec_of(deployment).get("strategy") or {}).get("rollingUpdate") or {}
    total = replicas_of(deployment)
    surge = int_or_string.scaled(rolling.get("maxSurge", "25%"), total, round_up=True)
    unavailable = int_or_string.scaled(rolling.get("maxUnavailable", "25%"), total, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return surge, unavailable


def max_surge(deployment: Object) -> int:
    """How many pods more than wanted may exist during a rolling update."""
    return surge_and_unavailable(deployment)[0]


def max_unavailable(deployment: Object) -> int:
    """How many wanted pods may be missing during a rolling update."""
    if replicas_of(deployment) == 0:
        return 0
    return min(surge_and_unavailable(deployment)[1], replicas_of(deployment))


def progress_deadline_of(deployment: Object) -> int | None:
    """Seconds without progress after which a rollout has failed; None: never."""
    seconds = spec_of(deployment).get("progressDeadlineSeconds")
    return None if seconds is None or seconds == NO_DEADLINE else int(seconds)


def is_complete(deployment: Object, status: Object) -> bool:
    """Is everything new, available, and nothing old left?"""
    wanted = replicas_of(deployment)
    counts = [status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")]
    seen = int(status.get("observedGeneration", 0)) >= generation_of(deployment)
    return seen and counts == [wanted] * 3


def is_progressing(deployment: Object, new_status: Object) -> bool:
    """Has the rollout come nearer to its end since the stored status?"""
    old = status_of(deployment)
    old_old = old.get("replicas", 0) - old.get("updatedReplicas", 0)
    new_old = new_status.get("replicas", 0) - new_status.get("updatedReplicas", 0)
    return bool(
        new_status.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or new_old < old_old
        or new_status.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new_status.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def progress_timeout(deployment: Object, new_status: Object) -> tuple[datetime | None, bool]:
    """When the rollout fails if nothing moves, and whether it has failed already (then no moment is given)."""
    condition = conditions.find(new_status.get("conditions"), "Progressing")
    seconds = progress_deadline_of(deployment)
    if condition is None or seconds is None:
        return None, False
    if condition.get("reason") == "NewReplicaSetAvailable":
        return None, False
    if condition.get("reason") == "ProgressDeadlineExceeded":
        return None, True
    moved = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
    return (time.parse_time(moved) + timedelta(seconds=seconds) if moved else None), False


def revision_of(obj: Object) -> int:
    """The revision number in the annotations of a Deployment or ReplicaSet; 0 when there is none."""
    text = annotations_of(obj).get(REVISION) or ""
    return int(text) if text.isdigit() else 0
