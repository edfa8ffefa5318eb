"""What absent fields of Deployment, ReplicaSet, StatefulSet and DaemonSet mean."""

from __future__ import annotations

from kubarium.api.core import persistent_volume_claim
from kubarium.api.core.pod import defaults as pod
from kubarium.apimachinery.object import Object, metadata_of


def _default(target: Object, field: str, value: object) -> None:
    if target.get(field) in (None, ""):
        target[field] = value


def _spec_with_template(obj: Object) -> Object:
    spec: Object = obj.setdefault("spec", {})
    pod.fill_template(spec.get("template"))
    return spec


def fill_deployment(deployment: Object) -> None:
    """One replica, rolled over a quarter at a time."""
    spec = _spec_with_template(deployment)
    _default(spec, "replicas", 1)
    strategy = spec.get("strategy") or {}
    spec["strategy"] = strategy
    _default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = rolling
        _default(rolling, "maxUnavailable", "25%")
        _default(rolling, "maxSurge", "25%")
    _default(spec, "revisionHistoryLimit", 10)
    _default(spec, "progressDeadlineSeconds", 600)


def fill_replica_set(replica_set: Object) -> None:
    """One replica."""
    spec = _spec_with_template(replica_set)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if labels and not (replica_set.get("metadata") or {}).get("labels"):
        metadata_of(replica_set)["labels"] = dict(labels)
    _default(spec, "replicas", 1)


def fill_stateful_set(stateful_set: Object) -> None:
    """One replica, in order, claims kept."""
    spec = _spec_with_template(stateful_set)
    _default(spec, "replicas", 1)
    _default(spec, "podManagementPolicy", "OrderedReady")
    strategy = spec.get("updateStrategy") or {}
    spec["updateStrategy"] = strategy
    _default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = rolling
        _default(rolling, "partition", 0)
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    spec["persistentVolumeClaimRetentionPolicy"] = retention
    _default(retention, "whenDeleted", "Retain")
    _default(retention, "whenScaled", "Retain")
    _default(spec, "revisionHistoryLimit", 10)
    for claim in spec.get("volumeClaimTemplates") or []:
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        persistent_volume_claim.fill_spec(claim.setdefault("spec", {}))
        claim["status"] = claim.get("status") or {"phase": "Pending"}


def fill_daemon_set(daemon_set: Object) -> None:
    """One node's pod after the other."""
    spec = _spec_with_template(daemon_set)
    strategy = spec.get("updateStrategy") or {}
    spec["updateStrategy"] = strategy
    _default(strategy, "type", "RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = rolling
        _default(rolling, "maxUnavailable", 1)
        _default(rolling, "maxSurge", 0)
    _default(spec, "revisionHistoryLimit", 10)
