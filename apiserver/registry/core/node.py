"""Nodes: the kubelet's own writes may set status at creation; a node keeps its provider id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apiserver.registry.strategy import Strategy, offers_of
from apiserver.request import RequestContext
from kubarium.api.core import node as noun
from kubarium.apimachinery.fields import FieldGetter
from kubarium.apimachinery.object import Object, spec_of

SELECTABLE: Mapping[str, FieldGetter] = {
    "spec.unschedulable": lambda node: "true" if spec_of(node).get("unschedulable") else "false",
}


@dataclass(frozen=True)
class NodeStrategy(Strategy):
    """A kubelet registers its node with its status in one write, so that status is kept at creation."""

    selectable_fields: Mapping[str, FieldGetter] = field(default_factory=lambda: SELECTABLE)

    def prepare_for_create(self, context: RequestContext, obj: Object) -> None:
        return None


STRATEGY = NodeStrategy(**offers_of(noun), validate_status_update=noun.validate_update)
