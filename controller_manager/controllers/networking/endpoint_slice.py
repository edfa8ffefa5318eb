"""EndpointSlice: a Service and its pods become slices of at most a hundred endpoints.

    Service.selector ─▶ pods ─▶ endpoints, grouped by address family and by the ports they serve
                                    │
    existing slices ────────────────┴──▶ plan(): create, update, delete    (pure)

The plan disturbs as little as it can: what stays, stays where it is; what is new fills slices that change anyway; only
then is there a new slice. Every kube-proxy of the cluster reads each changed slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controller_manager import metrics, trigger_times
from kubarium.api.discovery import endpoint_slice as slices
from kubarium.api.discovery import port_order, topology_hints
from kubarium.apimachinery import conditions, errors, owners
from kubarium.apimachinery.object import (
    Object,
    ObjectKey,
    copy,
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

MAX_ENDPOINTS = 100


@dataclass
class Group:
    """The endpoints of one address family that serve the same ports."""

    family: str
    ports: list[Object]
    endpoints: dict[tuple[str, str, str], Object] = field(default_factory=dict)


@dataclass
class Plan:
    """What has to change."""

    create: list[Object] = field(default_factory=list)
    update: list[Object] = field(default_factory=list)
    delete: list[Object] = field(default_factory=list)


class EndpointSliceController(Controller):
    """Keeps the slices of every Service with a selector."""

    name = "endpointslice-controller"
    queue_name = "endpoint_slice"

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        events: EventRecorder,
        *,
        workers: int = 5,
        max_endpoints: int = MAX_ENDPOINTS,
        batch_period: float = 0.0,
    ) -> None:
        self.workers, self.max_endpoints, self.batch_period = workers, max_endpoints, batch_period
        self.events = events
        self.services = informers.informer("v1", "services").lister
        self.pods = informers.informer("v1", "pods").lister
        self.nodes = informers.informer("v1", "nodes").lister
        slice_informer = informers.informer("discovery.k8s.io/v1", "endpointslices")
        slice_informer.add_index("service", lambda one: [f"{namespace_of(one)}/{slices.service_of(one)}"])
        self.slices = slice_informer.lister
        self.resource = client.resource("discovery.k8s.io/v1", "endpointslices")
        self.figures = metrics.SliceFigures()
        self.triggers = trigger_times.TriggerTimes()
        self._hinted: set[tuple[ObjectKey, str]] = set()  # Services that have hints by CPU, by address family
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
            Watch("discovery.k8s.io/v1", "endpointslices", keys=_service_of_slice),
            Watch("v1", "nodes", keys=self._services_on_node, changed=_zone_changed),
            Watch("v1", "nodes", keys=self._services_by_cpu, changed=_share_changed),
        ]

    def _services_on_node(self, node: Object) -> Iterable[ObjectKey]:
        if is_deleting(node) or not labels_of(node).get(slices.ZONE):
            return ()
        return [key_of(service) for service in self.services.list() if slices.selects_pods(service)]

    def _services_by_cpu(self, node: Object) -> Iterable[ObjectKey]:
        return [key_of(one) for one in self.services.list() if topology_hints.is_automatic(one)]

    async def reconcile(self, key: ObjectKey) -> None:
        service = self.services.get(key)
        if service is None or not slices.selects_pods(service) or is_deleting(service):
            self.figures.forget(key)
            self.triggers.forget(key)
            return
        pods = self.pods.list(key.namespace, slices.selector_of(service))
        existing = [
            one
            for one in self.slices.by_index("service", str(key))
            if labels_of(one).get(slices.MANAGED_BY) == slices.CONTROLLER and not is_deleting(one)
        ]
        groups = group_endpoints(service, pods, self._zones())
        self._add_hints(service, groups)
        steps = plan(service, existing, groups, self.max_endpoints)
        moment = self.triggers.since_last_look(service, pods)
        for one in [*steps.create, *steps.update]:
            trigger_times.note(one, moment)
        self._measure(key, service, existing, groups, steps)
        await self._carry_out(service, steps)

    def _measure(
        self,
        key: ObjectKey,
        service: Object,
        existing: Sequence[Object],
        groups: Sequence[Group],
        steps: Plan,
    ) -> None:
        wanted = {identity for group in groups for identity in group.endpoints}
        written = {slices.identity_of(one) for each in existing for one in each.get("endpoints") or ()}
        metrics.ENDPOINTS_ADDED.observe((), len(wanted - written))
        metrics.ENDPOINTS_REMOVED.observe((), len(written - wanted))
        families = {group.family for group in groups}
        empty = sum(family not in families for family in slices.families_of(service))
        desired = sum(-(-len(group.endpoints) // self.max_endpoints) for group in groups) + empty
        self.figures.note(
            key,
            metrics.SliceCount(
                sum(len(group.endpoints) for group in groups),
                len(existing) + len(steps.create) - len(steps.delete),
                desired,
                spec_of(service).get("trafficDistribution") or "",
            ),
        )

    def _add_hints(self, service: Object, groups: Sequence[Group]) -> None:
        """Say in an event when hints by CPU come, and why they go."""
        shares = topology_hints.shares_of(self.nodes.list()) if topology_hints.is_automatic(service) else {}
        for family in slices.families_of(service):
            endpoints = [one for g in groups if g.family == family for one in g.endpoints.values()]
            problem = topology_hints.add_to(endpoints, service, shares)
            mark = (key_of(service), family)
            if problem:
                self._hinted.discard(mark)
                self._tell_hints(service, "Warning", "Disabled", f"{problem}, addressType: {family}")
            elif topology_hints.is_automatic(service) and mark not in self._hinted:
                self._hinted.add(mark)
                text = f"Topology Aware Hints has been enabled, addressType: {family}"
                self._tell_hints(service, "Normal", "Enabled", text)
            elif not topology_hints.is_automatic(service) and mark in self._hinted:
                self._hinted.discard(mark)
                text = f"Topology Aware Hints has been disabled, addressType: {family}"
                self._tell_hints(service, "Warning", "Disabled", text)

    def _tell_hints(self, service: Object, type: str, how: str, text: str) -> None:
        self.events.event(service, type, f"TopologyAwareHints{how}", text)

    def _zones(self) -> dict[str, str]:
        return {name_of(node): labels_of(node).get(slices.ZONE) or "" for node in self.nodes.list()}

    async def _carry_out(self, service: Object, steps: Plan) -> None:
        try:
            for one in steps.create:
                await self.resource.create(one)
            for one in steps.update:
                await self.resource.update(one)
            for one in steps.delete:
                await self._delete(one)
        except errors.Conflict:
            raise
        except errors.StatusError as error:
            if any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes()):
                return
            text = f"Error updating Endpoint Slices for Service {key_of(service)}: {error}"
            self.events.event(service, "Warning", "FailedToUpdateEndpointSlices", text)
            raise

    async def _delete(self, one: Object) -> None:
        try:
            await self.resource.delete(name_of(one), namespace_of(one))
        except errors.NotFound:
            return


def _service_of_slice(one: Object) -> Iterable[ObjectKey]:
    if labels_of(one).get(slices.MANAGED_BY) != slices.CONTROLLER or not slices.service_of(one):
        return ()
    return (ObjectKey(namespace_of(one), slices.service_of(one)),)


def _zone_changed(old: Object, new: Object) -> bool:
    return labels_of(old).get(slices.ZONE) != labels_of(new).get(slices.ZONE)


def _share_changed(old: Object, new: Object) -> bool:
    def view(node: Object) -> tuple[object, ...]:
        return conditions.is_true(node, "Ready"), (status_of(node).get("allocatable") or {}).get("cpu")

    return view(old) != view(new)


def group_endpoints(service: Object, pods: Iterable[Object], zones: dict[str, str]) -> list[Group]:
    """Pods become endpoints, grouped by family and ports."""
    groups: dict[tuple[str, bytes], Group] = {}
    for pod in pods:
        if not slices.belongs(pod, terminating=True):
            continue
        # None of the named ports may be there: an endpoint without ports, as upstream writes it.
        ports = slices.ports_for(pod, service)
        for family in slices.families_of(service):
            addresses = slices.addresses_of(pod, family)
            if not addresses:
                continue
            zone = zones.get(spec_of(pod).get("nodeName") or "", "")
            endpoint = slices.endpoint_for(pod, service, addresses, zone)
            key = (family, slices.ports_key(ports))
            group = groups.get(key) or Group(family, port_order.in_slice(ports))
            groups[key] = group
            group.endpoints[slices.identity_of(endpoint)] = endpoint
    return list(groups.values())


def plan(
    service: Object, existing: Sequence[Object], groups: Sequence[Group], limit: int = MAX_ENDPOINTS
) -> Plan:
    """Which slices to create, update and delete so that the groups are what is written."""
    steps = Plan()
    families = slices.families_of(service)
    left = [one for one in existing if one.get("addressType") in families]
    steps.delete += [one for one in existing if one.get("addressType") not in families]
    for family in families:
        mine = [group for group in groups if group.family == family]
        if not mine:  # a slice without endpoints says: there are none, and I have looked
            mine = [Group(family, [])]
        for group in mine:
            matching = [one for one in left if _fits(one, group)]
            left = [one for one in left if not _fits(one, group)]
            _plan_group(service, matching, group, limit, steps)
    steps.delete += left
    _reuse_deleted(steps)
    return steps


def _fits(one: Object, group: Group) -> bool:
    return one.get("addressType") == group.family and slices.ports_key(one.get("ports")) == slices.ports_key(
        group.ports
    )


def _plan_group(service: Object, existing: Sequence[Object], group: Group, limit: int, steps: Plan) -> None:
    """1. keep what stays  2. fill slices that change anyway  3. fill the fullest slice with room  4. new slices."""
    missing = dict(group.endpoints)
    kept: list[tuple[Object, list[Object], bool]] = []
    for one in sorted(existing, key=name_of):
        stay = [
            missing.pop(slices.identity_of(e))
            for e in slices.endpoints_of(one)
            if slices.identity_of(e) in missing
        ]
        kept.append((one, stay, stay != slices.endpoints_of(one)))
    waiting = list(missing.values())
    for _, stay, touched in kept:
        if touched and waiting:
            room = limit - len(stay)
            stay += waiting[:room]
            del waiting[:room]
    if waiting:
        roomy = [entry for entry in kept if not entry[2] and len(entry[1]) + len(waiting) <= limit]
        if roomy:
            chosen = max(roomy, key=lambda entry: len(entry[1]))
            chosen[1].extend(waiting)
            waiting = []
    total = sum(len(stay) for _, stay, _ in kept) + len(waiting)
    placeholder = total == 0
    for one, stay, _ in kept:
        if not stay and not placeholder:
            steps.delete.append(one)
            continue
        placeholder = placeholder and bool(stay)  # one empty slice is enough
        wanted = written(service, group, stay, one)
        if wanted != one:
            steps.update.append(wanted)
    if placeholder and not kept:
        steps.create.append(written(service, group, [], None))
    while waiting:
        steps.create.append(written(service, group, waiting[:limit], None))
        del waiting[:limit]


def _reuse_deleted(steps: Plan) -> None:
    """A slice that would go and one that would come: change the old one instead, where the family allows it."""
    for wanted in list(steps.create):
        old = next((one for one in steps.delete if one["addressType"] == wanted["addressType"]), None)
        if old is None:
            return
        steps.delete.remove(old)
        steps.create.remove(wanted)
        metadata = {**old["metadata"], "labels": wanted["metadata"]["labels"]}
        steps.update.append({**wanted, "metadata": metadata})


def written(service: Object, group: Group, endpoints: Sequence[Object], old: Object | None) -> Object:
    """A slice as it should be stored; an existing one keeps its name."""
    if old is not None:
        wanted = copy(old)
        wanted["metadata"]["labels"] = slice_labels(service)
    else:
        wanted = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": _generate_name(name_of(service)),
                "namespace": namespace_of(service),
                "labels": slice_labels(service),
                "ownerReferences": [owners.owner_reference_to(service, api_version="v1", kind="Service")],
            },
            "addressType": group.family,
        }
    wanted["ports"] = (
        wanted.get("ports") if _same_ports(wanted.get("ports"), group.ports) else list(group.ports)
    )
    wanted["endpoints"] = list(endpoints)
    if old is not None and not endpoints and not old.get("endpoints"):
        wanted["endpoints"] = old.get("endpoints")
    return wanted


def _same_ports(stored: list[Object] | None, ports: Sequence[Object]) -> bool:
    return slices.ports_key(stored) == slices.ports_key(ports)


def _generate_name(service: str) -> str:
    return f"{service}-"


def slice_labels(service: Object) -> dict[str, str]:
    """The Service's own labels, and those by which slices are found."""
    reserved = {slices.SERVICE_NAME, slices.MANAGED_BY, slices.HEADLESS}
    found = {key: value for key, value in labels_of(service).items() if key not in reserved}
    found[slices.SERVICE_NAME] = name_of(service)
    found[slices.MANAGED_BY] = slices.CONTROLLER
    if slices.is_headless(service):
        found[slices.HEADLESS] = ""
    return found
