"""Unbound claims: on which nodes can they get a volume? Then reserve it, and see that it is bound before the pod is.

PreFilter   sort the pod's claims: bound, to be bound now (an obstacle), to be bound with the pod
Filter      bound ones: can the node reach the volume? others: is there a free volume, or can one be made there?
Reserve     remember which volume goes to which claim
PreBind     write it: claimRef into the volume, the selected node onto the claim; wait until both sides agree
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from kubarium.api.core.pod import resources
from kubarium.api.core.volume_binding import (
    BOUND_BY_CONTROLLER,
    NO_PROVISIONER,
    SELECTED_NODE,
    capacity_of,
    class_of,
    fits,
    refers_to,
    wanted_by,
)
from kubarium.apimachinery import labels
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, ObjectKey, copy, name_of, spec_of, status_of
from scheduler.framework import claims, node_selection
from scheduler.framework.columns import Mask
from scheduler.framework.interface import (
    SKIP,
    Action,
    Code,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PreBindPlugin,
    PreFilterPlugin,
    Refusal,
    ReservePlugin,
    Status,
)
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo

REASON_NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
REASON_BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind"
REASON_NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
REASON_NO_SPACE = "node(s) did not have enough free storage"
REASON_UNBOUND = "pod has unbound immediate PersistentVolumeClaims"

BIND_TIMEOUT = 600.0  # seconds
POLL = 0.25  # seconds between looks at the informers' caches while waiting


@dataclass
class _Plan:
    """The pod's claims, and for each node what would be done about those without a volume."""

    bound: list[Object] = field(default_factory=list)
    waiting: list[Object] = field(default_factory=list)
    matches: dict[int, dict[ObjectKey, Object]] = field(default_factory=dict)  # place -> claim -> volume


class VolumeBinding(PreFilterPlugin, FilterPlugin, ReservePlugin, PreBindPlugin):
    """Finds, reserves and binds volumes."""

    name = "VolumeBinding"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        informers = handle.informers
        self._claims = informers.informer("v1", "persistentvolumeclaims").lister
        self._volumes = informers.informer("v1", "persistentvolumes").lister
        self._classes = informers.informer("storage.k8s.io/v1", "storageclasses").lister
        self._drivers = informers.informer("storage.k8s.io/v1", "csidrivers").lister
        self._capacities = informers.informer("storage.k8s.io/v1", "csistoragecapacities").lister
        self._volume_client = handle.client.resource("v1", "persistentvolumes")
        self._claim_client = handle.client.resource("v1", "persistentvolumeclaims")
        self._reserved: dict[str, ObjectKey] = {}  # volume -> claim that will get it
        self._timeout = float(args.get("bindTimeoutSeconds") or BIND_TIMEOUT)

    def events(self) -> list[EventHint]:
        return [
            EventHint("StorageClass", Action.ADD | Action.UPDATE),
            EventHint("PersistentVolumeClaim", Action.ADD | Action.UPDATE),
            EventHint("PersistentVolume", Action.ADD | Action.UPDATE),
            EventHint("Node", Action.ADD | Action.NODE_LABEL),
            EventHint("CSINode", Action.ADD | Action.UPDATE),
            EventHint("CSIDriver", Action.UPDATE),
            EventHint("CSIStorageCapacity", Action.ADD | Action.UPDATE),
        ]

    # ---- which claims

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        if not pod.volumes or not claims.claim_names(pod):
            return SKIP
        plan = _Plan()
        for volume in pod.volumes:
            name = claims.claim_name(pod.name, volume)
            if not name:
                continue
            claim = self._claims.get(pod.namespace, name)
            objection = _objection(pod, volume, name, claim)
            if objection or claim is None:
                return Status(Code.UNRESOLVABLE, objection)
            if claims.is_bound(claim):
                plan.bound.append(claim)
            elif self._waits_for_pod(claim) and not (claim.get("spec") or {}).get("volumeName"):
                plan.waiting.append(claim)
            else:
                return Status(Code.UNRESOLVABLE, REASON_UNBOUND)
        state.data[self.name] = plan
        return None

    def _waits_for_pod(self, claim: Object) -> bool:
        storage_class = self._classes.get("", class_of(claim))
        return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"

    # ---- which nodes

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        plan: _Plan = state.data[self.name]
        reach = np.ones(nodes.length, dtype=np.bool_)
        for claim in plan.bound:
            volume = self._volumes.get("", claim["spec"]["volumeName"])
            if volume is None:
                yield Refusal(nodes.valid.copy(), REASON_NO_VOLUME, resolvable=False)
                return
            terms = claims.node_terms_of(volume)
            if terms is not None:
                reach &= node_selection.reachable(terms, nodes)
        if not reach.all():
            yield Refusal(~reach, REASON_NODE_CONFLICT, resolvable=False)
        if plan.waiting:
            yield from self._unbindable(plan, nodes, reach)

    def _unbindable(self, plan: _Plan, nodes: Nodes, reach: Mask) -> Iterator[Refusal]:
        """Match free volumes first, the smallest that suffices; what is left must be provisioned."""
        taken: dict[int, set[str]] = {}
        plan.matches.clear()
        left = reach.copy()
        no_volume = np.zeros(nodes.length, dtype=np.bool_)
        no_space = np.zeros(nodes.length, dtype=np.bool_)
        for claim in sorted(plan.waiting, key=wanted_by):
            matched = self._match(claim, nodes, left, taken, plan)
            provisioned, spacious = self._provisionable(claim, nodes)
            no_volume |= left & ~matched & ~provisioned
            no_space |= left & ~matched & provisioned & ~spacious
            left &= matched | (provisioned & spacious)
        if no_volume.any():
            yield Refusal(no_volume, REASON_BIND_CONFLICT, resolvable=False)
        if no_space.any():
            yield Refusal(no_space & ~no_volume, REASON_NO_SPACE, resolvable=False)

    def _match(
        self, claim: Object, nodes: Nodes, left: Mask, taken: dict[int, set[str]], plan: _Plan
    ) -> Mask:
        """Nodes where a free volume fits the claim."""
        key = ObjectKey(claim["metadata"]["namespace"], claim["metadata"]["name"])
        matched = np.zeros(nodes.length, dtype=np.bool_)
        for volume in self._candidates(claim, key):
            name = volume["metadata"]["name"]
            terms = claims.node_terms_of(volume)
            here = left & ~matched
            if terms is not None:
                here &= node_selection.reachable(terms, nodes)
            for place in np.flatnonzero(here):
                if name not in taken.setdefault(int(place), set()):
                    taken[int(place)].add(name)
                    plan.matches.setdefault(int(place), {})[key] = volume
                    matched[place] = True
        return matched

    def _candidates(self, claim: Object, key: ObjectKey) -> list[Object]:
        """Free volumes that fit; one made for this claim first, then the smallest."""
        own_class, found = class_of(claim), []
        for volume in self._volumes.list():
            is_promised, name = bool(spec_of(volume).get("claimRef")), name_of(volume)
            if is_promised and not refers_to(volume, claim):
                continue
            if not is_promised and status_of(volume).get("phase") != "Available":
                continue
            if self._reserved.get(name, key) != key:
                continue
            if class_of(volume) == own_class and fits(volume, claim):
                found.append((not is_promised, capacity_of(volume), name, volume))
        return [entry[-1] for entry in sorted(found, key=lambda entry: entry[:-1])]

    def _provisionable(self, claim: Object, nodes: Nodes) -> tuple[Mask, Mask]:
        """Nodes for which the class makes volumes, and those where the driver has the space for it."""
        storage_class = self._classes.get("", class_of(claim)) or {}
        provisioner = storage_class.get("provisioner") or ""
        none = np.zeros(nodes.length, dtype=np.bool_)
        if provisioner in ("", NO_PROVISIONER):
            return none, none
        allowed = ~none
        topologies = storage_class.get("allowedTopologies") or []
        if topologies:
            terms = [
                {
                    "matchExpressions": [
                        {"key": e["key"], "operator": "In", "values": e["values"]}
                        for e in topology.get("matchLabelExpressions") or ()
                    ]
                }
                for topology in topologies
            ]
            allowed = node_selection.reachable(terms, nodes)
        driver = self._drivers.get("", provisioner)
        if driver is None or not (driver.get("spec") or {}).get("storageCapacity"):
            return allowed, ~none
        return allowed, self._with_space(storage_class["metadata"]["name"], wanted_by(claim), nodes)

    def _with_space(self, storage_class: str, wanted: int, nodes: Nodes) -> Mask:
        spacious = np.zeros(nodes.length, dtype=np.bool_)
        for capacity in self._capacities.list():
            if capacity.get("storageClassName") != storage_class or not capacity.get("nodeTopology"):
                continue
            limit = capacity.get("maximumVolumeSize") or capacity.get("capacity") or "0"
            if resources.amount("storage", limit) >= wanted:
                selector = labels.from_label_selector(capacity["nodeTopology"])
                mask = nodes.valid.copy()
                for requirement in selector.requirements:
                    mask &= node_selection.requirement_mask(requirement, nodes)
                spacious |= mask
        return spacious

    # ---- take, and bind

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        plan: _Plan | None = state.data.get(self.name)
        if plan is not None and plan.waiting:
            place = self.handle.nodes.index[node]
            for key, volume in plan.matches.get(place, {}).items():
                self._reserved[volume["metadata"]["name"]] = key
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        plan: _Plan | None = state.data.get(self.name)
        place = self.handle.nodes.index.get(node, -1)
        if plan is not None:
            for volume in plan.matches.get(place, {}).values():
                self._reserved.pop(volume["metadata"]["name"], None)

    def takes_time(self, state: CycleState, pod: PodInfo, node: str) -> bool:
        plan: _Plan | None = state.data.get(self.name)
        return plan is not None and bool(plan.waiting)

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        plan: _Plan | None = state.data.get(self.name)
        if plan is None or not plan.waiting:
            return None
        matches = plan.matches.get(self.handle.nodes.index.get(node, -1), {})
        try:
            for claim in plan.waiting:
                key = ObjectKey(claim["metadata"]["namespace"], claim["metadata"]["name"])
                if key in matches:
                    await self._give(matches[key], claim)
                else:
                    await self._ask_for(claim, node)
        except StatusError as error:
            return Status(Code.ERROR, str(error))
        status = await self._wait(pod, plan, node)
        self.unreserve(state, pod, node)
        return status

    async def _give(self, volume: Object, claim: Object) -> None:
        """Promise a volume to a claim; the volume controller does the rest."""
        fresh = copy(volume)
        metadata = claim["metadata"]
        fresh["spec"]["claimRef"] = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata.get("uid"),
            "resourceVersion": metadata.get("resourceVersion"),
        }
        annotations = fresh["metadata"].get("annotations") or {}
        fresh["metadata"]["annotations"] = annotations | {BOUND_BY_CONTROLLER: "yes"}
        fresh.setdefault("apiVersion", "v1")
        fresh.setdefault("kind", "PersistentVolume")
        await self._volume_client.update(fresh)

    async def _ask_for(self, claim: Object, node: str) -> None:
        """Tell the provisioner for which node the claim needs a volume."""
        patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
        await self._claim_client.patch(claim["metadata"]["name"], patch, claim["metadata"]["namespace"])

    async def _wait(self, pod: PodInfo, plan: _Plan, node: str) -> Status | None:
        deadline = self.handle.clock.monotonic() + self._timeout
        while True:
            newest = [
                self._claims.get(c["metadata"]["namespace"], c["metadata"]["name"]) for c in plan.waiting
            ]
            if any(claim is None for claim in newest):
                return Status(Code.ERROR, "binding volumes: a claim was deleted meanwhile")
            if all(claim is not None and claims.is_bound(claim) for claim in newest):
                return None
            if self.handle.clock.monotonic() > deadline:
                return Status(Code.ERROR, "binding volumes: timed out waiting for the condition")
            await self.handle.clock.sleep(POLL)
            await asyncio.sleep(0)


def _objection(pod: PodInfo, volume: Object, name: str, claim: Object | None) -> str:
    """Why a pod cannot use a claim at all."""
    if claim is None:
        if "ephemeral" in volume:
            return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
        return f'persistentvolumeclaim "{name}" not found'
    if (claim.get("status") or {}).get("phase") == "Lost":
        volume_name = claim["spec"].get("volumeName")
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume_name}"'
    if "deletionTimestamp" in claim["metadata"]:
        return f'persistentvolumeclaim "{name}" is being deleted'
    if "ephemeral" in volume:
        owners = claim["metadata"].get("ownerReferences") or ()
        if not any(owner.get("uid") == pod.uid for owner in owners):
            return f"PVC {pod.namespace}/{name} was not created for pod {pod.namespace}/{pod.name} (pod is not owner)"
    return ""
