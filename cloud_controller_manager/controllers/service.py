"""`type: LoadBalancer`: ask the cloud for an address, and give it back."""

from __future__ import annotations

from collections.abc import Sequence

from cloud_controller_manager.provider import LoadBalancers
from kubarium.api.core import service as services
from kubarium.api.core import taints
from kubarium.apimachinery import conditions, errors
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    finalizers_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    status_of,
)
from kubarium.client.controller import Controller, Watch
from kubarium.client.events import EventRecorder
from kubarium.client.informer import Informers
from kubarium.client.rest import Client
from kubarium.component_base.clock import Clock

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
TOLD = (  # reason of the event, field of the wish
    ("Type", "type"),
    ("LoadBalancerSourceRanges", "loadBalancerSourceRanges"),
    ("LoadbalancerIP", "loadBalancerIP"),
    ("ExternalTrafficPolicy", "externalTrafficPolicy"),
    ("HealthCheckNodePort", "healthCheckNodePort"),
)
TO_BE_DELETED = "ToBeDeletedByClusterAutoscaler"


class ServiceController(Controller):
    """Keeps a load balancer for each Service that wants one."""

    name = "service-lb-controller"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        balancers: LoadBalancers,
        events: EventRecorder,
    ) -> None:
        self._balancers, self._events = balancers, events
        self._served: dict[ObjectKey, list[str]] = {}  # the nodes behind each load balancer
        super().__init__(client, informers, clock)
        self._services = self.informer("v1", "services").lister
        self._nodes = self.informer("v1", "nodes").lister
        self._api = client.resource("v1", "services")

    def watches(self) -> Sequence[Watch]:
        return [
            Watch("v1", "services", on_update=self._tell_changes),
            Watch("v1", "nodes", keys=self._all_balanced, changed=_serves_differently),
        ]

    async def reconcile(self, key: ObjectKey) -> None:
        service = self._services.get(key)
        if service is None:
            return
        if not wants_load_balancer(service) or is_deleting(service):
            await self._clean_up(service)
            return
        if FINALIZER not in finalizers_of(service):
            service = await self._set_finalizers(service, [*finalizers_of(service), FINALIZER])
        nodes = [node for node in self._nodes.list() if can_serve(node)]
        if not _ingress_of(service):
            self._events.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
            for other in filter(wants_load_balancer, self._services.list()):
                self._balancers.remember(other)
        elif not nodes:
            text = "There are no available nodes for LoadBalancer"
            self._events.event(service, "Warning", "UnAvailableLoadBalancer", text)
        names = sorted(name_of(node) for node in nodes)
        try:
            addresses = await self._balancers.ensure(service, nodes)
        except ConnectionError as error:
            why = f"Error syncing load balancer: failed to ensure load balancer: {error}"
            self._events.event(service, "Warning", "SyncLoadBalancerFailed", why)
            raise
        await self._publish(service, addresses)
        if self._served.setdefault(key, names) != names:
            self._served[key] = names
            text = "Updated load balancer with new hosts"
            self._events.event(service, "Normal", "UpdatedLoadBalancer", text)

    def _tell_changes(self, old: Object, new: Object) -> None:
        """Events about what a user changed, for those who look at the load balancer."""
        if not (wants_load_balancer(old) or wants_load_balancer(new)):
            return
        for reason, field in TOLD:
            before, after = (spec_of(each).get(field) for each in (old, new))
            if before != after:
                self._events.event(new, "Normal", reason, f"{_shown(before)} -> {_shown(after)}")

    async def _publish(self, service: Object, addresses: list[str]) -> None:
        wanted = [{"ip": address, "ipMode": "VIP"} for address in addresses]
        if _ingress_of(service) == wanted:
            return
        patch = {"status": {"loadBalancer": {"ingress": wanted}}}
        await self._api.patch(name_of(service), patch, namespace_of(service), subresource="status")
        self._events.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")

    async def _clean_up(self, service: Object) -> None:
        """A Service that no longer wants a load balancer, or goes."""
        if FINALIZER not in finalizers_of(service):
            return
        self._events.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        self._served.pop(key_of(service), None)
        await self._balancers.delete(service)
        if _ingress_of(service):
            patch = {"status": {"loadBalancer": {"ingress": None}}}
            service = await self._api.patch(
                name_of(service), patch, namespace_of(service), subresource="status"
            )
        self._events.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")
        await self._set_finalizers(service, [f for f in finalizers_of(service) if f != FINALIZER])

    async def _set_finalizers(self, service: Object, finalizers: list[str]) -> Object:
        metadata = {"finalizers": finalizers, "resourceVersion": service["metadata"]["resourceVersion"]}
        try:
            return await self._api.patch(name_of(service), {"metadata": metadata}, namespace_of(service))
        except errors.NotFound:
            return service

    def _all_balanced(self, node: Object) -> list[ObjectKey]:
        return [key_of(service) for service in self._services.list() if wants_load_balancer(service)]


def wants_load_balancer(service: Object) -> bool:
    """Is it ours to serve? Services with a class are somebody else's."""
    return services.type_of(service) == services.LOAD_BALANCER and not spec_of(service).get(
        "loadBalancerClass"
    )


def can_serve(node: Object) -> bool:
    """May load balancers send traffic to this node?"""
    leaving = is_deleting(node) or taints.has(node, TO_BE_DELETED, taints.NO_SCHEDULE)
    return EXCLUDE not in labels_of(node) and conditions.is_true(node, "Ready") and not leaving


def _shown(value: object) -> str:
    """A value in an event, as Go prints it."""
    if isinstance(value, list):
        return f"[{' '.join(map(str, value))}]"
    return "" if value is None else str(value)


def _serves_differently(old: Object, new: Object) -> bool:
    return can_serve(old) != can_serve(new)


def _ingress_of(service: Object) -> list[Object]:
    return (status_of(service).get("loadBalancer") or {}).get("ingress") or []
