"""Endpoints: the addresses of a Service's pods in the older, flat form."""

from __future__ import annotations

from collections.abc import Sequence

from controller_manager import trigger_times
from kubarium.api.discovery import endpoint_slice as slices
from kubarium.api.discovery import endpoint_subsets as endpoint_objects
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    annotations_of,
    copy,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock


class EndpointsController(Controller):
    """Keeps one Endpoints object beside every Service with a selector."""

    name = "endpoints-controller"
    queue_name = "endpoint"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        workers: int = 5,
        batch_period: float = 0.0,
    ) -> None:
        self.workers, self.batch_period = workers, batch_period
        self.events = events
        self.services = informers.informer("v1", "services").lister
        self.pods = informers.informer("v1", "pods").lister
        self.endpoints = informers.informer("v1", "endpoints").lister
        self.resource = client.resource("v1", "endpoints")
        self.triggers = trigger_times.TriggerTimes()
        super().__init__(client, informers, clock)

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "services"),
            Watch(
                "v1",
                "pods",
                keys=lambda pod: slices.services_of(pod, self.services.list(namespace_of(pod))),
                changed=lambda a, b: not slices.same_pod_endpoint(a, b),
                delay=self.batch_period,
            ),
            Watch("v1", "endpoints"),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        service = self.services.get(key)
        if service is None:
            self.triggers.forget(key)
            await self._forget(key)
            return
        if not slices.selects_pods(service) or is_deleting(service):
            return
        pods = self.pods.list(key.namespace, slices.selector_of(service))
        moment = self.triggers.since_last_look(service, pods)
        wanted, cut = endpoint_objects.truncate(endpoint_objects.subsets_for(service, pods))
        await self._write(service, self.endpoints.get(key), wanted, cut, moment)

    async def _forget(self, key: ObjectKey) -> None:
        stored = self.endpoints.get(key)
        if (
            stored is None
            or labels_of(stored).get(endpoint_objects.MANAGED_BY) != endpoint_objects.CONTROLLER
        ):
            return
        try:
            await self.resource.delete(key.name, key.namespace)
        except errors.NotFound:
            return

    async def _write(
        self, service: Object, stored: Object | None, subsets: list[Object], cut: bool, moment: str
    ) -> None:
        current = stored or {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {"name": name_of(service), "namespace": namespace_of(service)},
        }
        labels = {**labels_of(service), endpoint_objects.MANAGED_BY: endpoint_objects.CONTROLLER}
        if slices.is_headless(service):
            labels[slices.HEADLESS] = ""
        annotations = {
            k: v for k, v in annotations_of(current).items() if k != endpoint_objects.OVER_CAPACITY
        }
        if cut:
            annotations[endpoint_objects.OVER_CAPACITY] = "truncated"
        same = (current.get("subsets") or []) == subsets and labels_of(current) == labels
        if stored is not None and same and annotations_of(stored) == annotations:
            return
        changed = copy(current)
        changed["metadata"]["labels"] = labels
        changed["metadata"]["annotations"] = annotations
        changed["subsets"] = subsets
        trigger_times.note(changed, moment)
        try:
            await (self.resource.update(changed) if stored is not None else self.resource.create(changed))
        except (errors.Conflict, errors.AlreadyExists):
            raise
        except errors.StatusError as error:
            if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
                return
            verb = "update" if stored is not None else "create"
            text = f"Failed to {verb} endpoint {namespace_of(service)}/{name_of(service)}: {error}"
            self.events.event(service, "Warning", f"FailedTo{verb.capitalize()}Endpoint", text)
            raise
