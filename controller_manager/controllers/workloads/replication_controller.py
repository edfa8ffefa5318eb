"""ReplicationController: the ancestor of ReplicaSet, served by the same loop."""

from __future__ import annotations

from kubarium.apimachinery import labels
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import Object, labels_of, spec_of


class ReplicationControllers:
    """`v1 ReplicationController`: its selector is a plain map, and defaults to the template's labels."""

    controller = "replication-controller"
    api_version = "v1"
    plural = "replicationcontrollers"
    kind = "ReplicationController"

    def selector_of(self, obj: Object) -> Selector:
        spec = spec_of(obj)
        wanted = spec.get("selector") or labels_of(spec.get("template") or {})
        return labels.from_map(wanted) if wanted else labels.NOTHING
