"""Inventory, ledger and classes together, kept up to date by informers; shared by all profiles."""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.api.resource.resource_claim import is_for_extended_resources
from kubarium.apimachinery.object import Object, name_of, spec_of, uid_of
from kubarium.client.informer import Informers
from scheduler.framework.devices import search
from scheduler.framework.devices.asks import ClaimAsk
from scheduler.framework.devices.inventory import DeviceKey, Inventory
from scheduler.framework.devices.ledger import Ledger
from scheduler.framework.nodes import Nodes

API_VERSION = "resource.k8s.io/v1"
IMPLICIT = "deviceclass.resource.kubernetes.io/"
"""Every class is an extended resource under this prefix, whether or not it names one of its own."""


OWNER = "owner"


class Devices:
    """What the DynamicResources plugin works with."""

    def __init__(self, informers: Informers, nodes: Nodes) -> None:
        self._nodes = nodes
        self.inventory = Inventory(nodes, self._touch)
        self.ledger = Ledger(self._device_changed)
        self._claims = informers.informer(API_VERSION, "resourceclaims")
        self._claims.add_index(OWNER, _owners)
        self._classes = informers.informer(API_VERSION, "deviceclasses")
        slices = informers.informer(API_VERSION, "resourceslices")
        slices.follow(self.inventory.put_slice, self.inventory.remove_slice)
        self._claims.follow(self.ledger.put, self.ledger.remove)
        self._classes.follow(self._index_classes, self._index_classes)
        self._class_of_resource: dict[str, str] = {}
        self.classes_version = 0

    # ---- questions

    def claim(self, namespace: str, name: str) -> Object | None:
        """The newest known state of a claim."""
        return self.ledger.newest(self.shown(namespace, name))

    def shown(self, namespace: str, name: str) -> Object | None:
        """What the informer shows."""
        return self._claims.lister.get(namespace, name)

    def claim_for_extended_resources(self, pod: Object) -> Object | None:
        """The claim that an earlier attempt left behind."""
        mine = self._claims.lister.by_index(OWNER, uid_of(pod))
        return next((claim for claim in mine if is_for_extended_resources(claim, pod)), None)

    def device_class(self, name: str) -> Object | None:
        """A class by name."""
        return self._classes.lister.get("", name)

    def class_for(self, resource: str) -> str:
        """The class whose devices stand for an extended resource, or nothing."""
        if resource.startswith(IMPLICIT):
            name = resource.removeprefix(IMPLICIT)
            return name if self.device_class(name) is not None else ""
        return self._class_of_resource.get(resource, "") if self._class_of_resource else ""

    def solve(self, claims: Sequence[ClaimAsk], place: int) -> search.Solution | None:
        """Devices for these claims at one node."""
        return search.solve(claims, self.inventory.at(place), self.ledger)

    # ---- changes

    def wrote(self, claim: Object) -> None:
        """A claim was written to the API server."""
        self.ledger.wrote(claim, self.shown(claim["metadata"]["namespace"], name_of(claim)))

    def release(self, claim: Object) -> None:
        """A decision about a claim is taken back."""
        self.ledger.release(uid_of(claim), self.shown(claim["metadata"]["namespace"], name_of(claim)))

    def _index_classes(self, changed: Object) -> None:
        """Of two classes for one resource the younger counts, of two of the same age the first by name."""
        classes = sorted(self._classes.lister.list(), key=name_of, reverse=True)
        classes.sort(key=lambda one: one["metadata"].get("creationTimestamp") or "")
        self._class_of_resource = {
            spec_of(one)["extendedResourceName"]: name_of(one)
            for one in classes
            if spec_of(one).get("extendedResourceName")
        }
        self.classes_version += 1

    def _touch(self, node: str) -> None:
        place = self._nodes.index.get(node)
        if place is not None:
            self._nodes.touch(place)

    def _device_changed(self, key: DeviceKey) -> None:
        device = self.inventory.device(key)
        if device is None:
            return
        if device.local:
            self._touch(device.local)
        if not device.local or device.consumes:
            self.inventory.taken_version += 1


def _owners(claim: Object) -> list[str]:
    return [owner["uid"] for owner in claim["metadata"].get("ownerReferences") or ()]
