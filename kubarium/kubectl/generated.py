"""What the objects that kubectl makes up look like when they are only shown: with the empty fields that Go writes.

`--dry-run=client -o yaml` never asked a server, yet upstream shows `status: {}` and its like: its objects are typed.
"""

from __future__ import annotations

from typing import Any

from kubarium.apimachinery.object import Object, copy
from kubarium.kubectl.pod_templates import pod_spec

# Kind -> fields that are written even when nothing is in them.
EMPTY: dict[str, Object] = {
    "CronJob": {"spec": {"jobTemplate": {"spec": {"template": {"metadata": {}}}}}, "status": {}},
    "Deployment": {"spec": {"strategy": {}}, "status": {}},
    "HorizontalPodAutoscaler": {"status": {"currentMetrics": None, "desiredReplicas": 0}},
    "Ingress": {"status": {"loadBalancer": {}}},
    "Job": {"spec": {"template": {"metadata": {}}}, "status": {}},
    "Namespace": {"spec": {}, "status": {}},
    "Pod": {"status": {}},
    "PodDisruptionBudget": {
        "status": {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}
    },
    "ResourceQuota": {"status": {}},
    "Service": {"status": {"loadBalancer": {}}},
}


def shown(obj: Object) -> Object:
    """A copy with its empty fields."""
    made = copy(obj)
    _fill(made, EMPTY.get(made["kind"], {}))
    if (spec := pod_spec(made)) is not None and made["kind"] not in ("Role", "ClusterRole"):
        for container in spec.get("containers") or []:
            container.setdefault("resources", {})
    return made


def _fill(obj: Any, empty: Object) -> None:
    for key, value in empty.items():
        if isinstance(value, dict) and value and isinstance(obj.get(key), dict):
            _fill(obj[key], value)
        else:
            obj.setdefault(key, copy(value) if isinstance(value, dict) else value)
