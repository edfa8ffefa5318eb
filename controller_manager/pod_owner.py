"""What ReplicaSets, DaemonSets and Jobs share: they own pods, and wait until the cache shows what they asked for."""

from __future__ import annotations

from collections.abc import Sequence

from controller_manager.adoption import Adoption, dependent_keys, index_by_controller, owner_of
from controller_manager.expectations import Expectations
from controller_manager.pod_control import PodControl
from kubarium.apimachinery.labels import Selector
from kubarium.apimachinery.object import Object, is_deleting, key_of, uid_of
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class PodOwner(Controller):
    """A controller of a kind whose objects own pods: caches, claims, expectations and events, from the kind's names."""

    api_version = plural = kind = ""
    finalizer = ""  # that the kind keeps on its pods

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, events: EventRecorder, *, workers: int
    ) -> None:
        self.workers, self.events = workers, events
        self.expectations = Expectations(clock)
        self.owners = informers.informer(self.api_version, self.plural).lister
        self.pods = index_by_controller(informers.informer("v1", "pods"))
        self.owner_client = client.resource(self.api_version, self.plural)
        self.pod_client = client.resource("v1", "pods")
        self.adoption = Adoption(
            self.owner_client, self.pod_client, self.api_version, self.kind, finalizer=self.finalizer
        )
        self.control = PodControl(self.pod_client, events, self.api_version, self.kind)
        super().__init__(client, informers, clock)

    def selector_of(self, owner: Object) -> Selector:
        """Which pods belong to an owner."""
        raise NotImplementedError

    def watches(self) -> Sequence[Watch]:
        return [
            Watch(self.api_version, self.plural),
            Watch(
                "v1",
                "pods",
                keys=dependent_keys(self.kind, self.owners, self.selector_of),
                on_add=self.pod_appeared,
                on_update=self.pod_changed,
                on_delete=self.pod_went,
            ),
        ]

    def owner_of(self, pod: Object) -> Object | None:
        """The pod's owner, if it is of this kind and still there."""
        return owner_of(pod, self.kind, self.owners)

    def pod_appeared(self, pod: Object) -> None:
        """The cache shows a new pod; after a restart it may be on its way out already."""
        owner = self.owner_of(pod)
        if owner is None:
            return
        if is_deleting(pod):
            self.expectations.deletion_observed(key_of(owner), uid_of(pod))
        else:
            self.expectations.creation_observed(key_of(owner))

    def pod_changed(self, old: Object, new: Object) -> None:
        """A deletion is seen when it begins."""
        if is_deleting(new) and not is_deleting(old):
            self._deletion_seen(new)

    def pod_went(self, pod: Object) -> None:
        """Or when it ends, if the beginning was missed."""
        self._deletion_seen(pod)

    def _deletion_seen(self, pod: Object) -> None:
        owner = self.owner_of(pod)
        if owner is not None:
            self.expectations.deletion_observed(key_of(owner), uid_of(pod))
