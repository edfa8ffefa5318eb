"""Grow a volume: tell the user that somebody outside has to do it. CSI drivers bring their own resizer."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, ObjectKey, spec_of, status_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class ExpandController(Controller):
    """Looks after claims that ask for more than they have."""

    name = "persistentvolume-expander-controller"
    workers = 1

    def __init__(self, client: Client, informers: Informers, clock: Clock, events: EventRecorder) -> None:
        self.events = events
        self.claims = informers.informer("v1", "persistentvolumeclaims").lister
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [Watch("v1", "persistentvolumeclaims", changed=_asks_for_more)]

    async def reconcile(self, key: ObjectKey) -> None:
        claim = self.claims.get(key)
        if claim is None or status_of(claim).get("phase") != "Bound" or not wants_to_grow(claim):
            return
        text = "waiting for an external controller to expand this PVC"
        self.events.event(claim, "Normal", "ExternalExpanding", text)


def wants_to_grow(claim: Object) -> bool:
    """Does the claim ask for more than it has?"""
    asked = ((spec_of(claim).get("resources") or {}).get("requests") or {}).get("storage")
    has = (status_of(claim).get("capacity") or {}).get("storage")
    return bool(asked and has and quantity.compare(asked, has) > 0)


def _asks_for_more(old: Object, new: Object) -> bool:
    return wants_to_grow(new) and not wants_to_grow(old)
