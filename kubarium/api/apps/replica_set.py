"""`ReplicaSet`: how many, of what, and which of two pods goes first when there are too many."""

from __future__ import annotations

from datetime import UTC, datetime

from kubarium.apimachinery import labels, time
from kubarium.apimachinery.object import Object, annotations_of, spec_of, status_of

_LATE = datetime(9999, 1, 1, tzinfo=UTC)


def replicas_of(replica_set: Object) -> int:
    """How many pods are wanted."""
    wanted = spec_of(replica_set).get("replicas")
    return 1 if wanted is None else int(wanted)


def available_replicas_of(replica_set: Object) -> int:
    """How many of them were available."""
    return int(status_of(replica_set).get("availableReplicas") or 0)


def selector_of(replica_set: Object) -> labels.Selector:
    """Which pods belong to it."""
    return labels.from_label_selector(spec_of(replica_set).get("selector"))


def template_of(replica_set: Object) -> Object:
    """What its pods look like."""
    found: Object = spec_of(replica_set).get("template") or {}
    return found


def min_ready_seconds_of(replica_set: Object) -> int:
    """How long a pod must be ready before it counts as available."""
    return int(spec_of(replica_set).get("minReadySeconds") or 0)


def created_at(obj: Object) -> datetime:
    """When the object was made; far in the future while the server has not said."""
    text = (obj.get("metadata") or {}).get("creationTimestamp")
    return time.parse_time(text) if text else _LATE


def int_annotation(obj: Object, key: str, absent: int = 0) -> int:
    """A number kept in an annotation."""
    text = annotations_of(obj).get(key) or ""
    try:
        return int(text)
    except ValueError:
        return absent
