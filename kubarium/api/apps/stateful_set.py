"""`StatefulSet`: ordinals, claim templates, retention policy."""

from __future__ import annotations

from kubarium.apimachinery import int_or_string, labels
from kubarium.apimachinery.object import Object, name_of, spec_of, status_of

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"


def replicas_of(stateful_set: Object) -> int:
    """How many pods are wanted."""
    wanted = spec_of(stateful_set).get("replicas")
    return 1 if wanted is None else int(wanted)


def start_of(stateful_set: Object) -> int:
    """The first ordinal."""
    return int((spec_of(stateful_set).get("ordinals") or {}).get("start") or 0)


def selector_of(stateful_set: Object) -> labels.Selector:
    """Which pods belong to it."""
    return labels.from_label_selector(spec_of(stateful_set).get("selector"))


def min_ready_seconds_of(stateful_set: Object) -> int:
    """How long a pod must be ready before it counts as available."""
    return int(spec_of(stateful_set).get("minReadySeconds") or 0)


def is_parallel(stateful_set: Object) -> bool:
    """May pods be made and deleted all at once?"""
    return bool(spec_of(stateful_set).get("podManagementPolicy") == "Parallel")


def strategy_of(stateful_set: Object) -> str:
    """RollingUpdate or OnDelete."""
    return (spec_of(stateful_set).get("updateStrategy") or {}).get("type") or "RollingUpdate"


def _rolling(stateful_set: Object) -> Object:
    return (spec_of(stateful_set).get("updateStrategy") or {}).get("rollingUpdate") or {}


def partition_of(stateful_set: Object) -> int | None:
    """Ordinals below this one (counted from the first) keep the old template."""
    if strategy_of(stateful_set) != "RollingUpdate":
        return None
    partition = _rolling(stateful_set).get("partition")
    return None if partition is None else int(partition)


def max_unavailable_of(stateful_set: Object) -> int:
    """How many pods may be missing during an update; at least one."""
    value = _rolling(stateful_set).get("maxUnavailable")
    if value is None:
        return 1
    return max(1, int_or_string.scaled(value, replicas_of(stateful_set), round_up=False))


def claim_templates_of(stateful_set: Object) -> list[Object]:
    """The claims that every pod gets."""
    return spec_of(stateful_set).get("volumeClaimTemplates") or []


def retention_of(stateful_set: Object) -> tuple[str, str]:
    """What becomes of claims when the set is deleted, and when it shrinks: Retain or Delete."""
    policy = spec_of(stateful_set).get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") or "Retain", policy.get("whenScaled") or "Retain"


def revision_history_limit_of(stateful_set: Object) -> int:
    """How many revisions that are not in use are kept."""
    limit = spec_of(stateful_set).get("revisionHistoryLimit")
    return 10 if limit is None else int(limit)


def current_replicas_of(stateful_set: Object) -> int:
    """How many pods had the current revision when last counted."""
    return int(status_of(stateful_set).get("currentReplicas") or 0)


def pod_name(stateful_set: Object, ordinal: int) -> str:
    """`web-0`."""
    return f"{name_of(stateful_set)}-{ordinal}"


def ordinal_of(pod: Object, stateful_set: Object) -> int | None:
    """The pod's number, if it is one of this set's by name."""
    parent, dash, number = name_of(pod).rpartition("-")
    if not dash or parent != name_of(stateful_set) or not number.isdigit():
        return None
    return int(number)


def claim_name(template: Object, stateful_set: Object, ordinal: int) -> str:
    """`data-web-0`."""
    return f"{name_of(template)}-{name_of(stateful_set)}-{ordinal}"
