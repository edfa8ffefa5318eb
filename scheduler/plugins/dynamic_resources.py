"""Pods that claim devices go where the devices are, and get them.

PreEnqueue  are all claims there?
PreFilter   what is allocated already, what must be, and by which selectors
Filter      from which nodes can the allocated devices be used, on which nodes can the rest be found
PostFilter  nobody uses a claim that holds the pod elsewhere: give its devices back
Score       where the first alternatives of a prioritized list are met
Reserve     take the devices; from now on nobody else gets them
PreBind     write allocation and reservation into the claims, wait for drivers that want to be waited for

Extended resources for which a device class stands are asked for by a claim that is made on the way.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kubarium.api.resource import resource_claim as claims
from kubarium.api.resource.resource_claim import ClaimError
from kubarium.apimachinery.errors import StatusError
from kubarium.apimachinery.object import Object, name_of, namespace_of, status_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.options import parse_duration
from scheduler.framework import node_selection
from scheduler.framework.columns import Mask
from scheduler.framework.devices import allocation, asks, extended_resources
from scheduler.framework.devices.asks import AskError, ClaimAsk, UnknownClass
from scheduler.framework.devices.claim_writer import BindingFailed, ClaimWriter
from scheduler.framework.devices.search import NodeProblem, Solution
from scheduler.framework.interface import (
    SKIP,
    Action,
    Code,
    CycleState,
    EventHint,
    FilterPlugin,
    Handle,
    PluginError,
    PostFilterPlugin,
    PostFilterResult,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    Refusal,
    ReservePlugin,
    ScorePlugin,
    Scores,
    Status,
    spread_out,
)
from scheduler.framework.nodes import Nodes, Places
from scheduler.framework.pod_info import PodInfo

log = logging.get(__name__)

REASON_ELSEWHERE = "resourceclaim not available on the node"
REASON_MISSING = "cannot allocate all claims"
REASON_STALE = "cannot schedule extended resource claim"

Answers = npt.NDArray[np.int32]
"""Per node: the score of its solution, or why there is none: -1 devices are missing, -2 and below a problem."""

MISSING = -1
MOST_PROBLEMS = 1000


@dataclass
class _Plan:
    """What the pod claims."""

    claims: list[Object] = field(default_factory=list)
    asks: list[ClaimAsk] = field(default_factory=list)  # of claims without allocation
    resources: dict[str, str] = field(default_factory=dict)  # extended resources and their device class
    stale: Object | None = None  # a claim for them, left by an earlier attempt
    shape: bytes = b""
    answers: Answers | None = None
    elsewhere: list[Object] = field(default_factory=list)  # claims that cannot be used from some nodes
    made: extended_resources.Requests | None = None
    made_claim: Object | None = None
    allocations: dict[str, Object] = field(default_factory=dict)  # claim uid -> what it gets

    @property
    def is_prioritized(self) -> bool:
        """Does any request list alternatives?"""
        return any(request.is_prioritized for ask in self.asks for request in ask.requests)


class DynamicResources(
    PreEnqueuePlugin, PreFilterPlugin, FilterPlugin, PostFilterPlugin, PreScorePlugin, ScorePlugin, ReservePlugin,
    PreBindPlugin,
):  # fmt: skip
    """Finds, takes and writes down the devices of claims."""

    name = "DynamicResources"

    def __init__(self, handle: Handle, args: Object) -> None:
        super().__init__(handle, args)
        self._devices = handle.devices
        self._writer = ClaimWriter(handle.client, handle.clock, handle.devices)
        self._timeout = parse_duration(args.get("bindingTimeout") or "600s")
        self._problems: list[str] = []  # texts of answers below MISSING
        self._problems_epoch = 0
        self._made_asks: dict[frozenset[str], tuple[extended_resources.Requests, ClaimAsk]] = {}

    def events(self) -> list[EventHint]:
        return [
            EventHint("Node", Action.ADD | Action.NODE_LABEL | Action.NODE_ALLOCATABLE),
            EventHint("ResourceClaim", Action.ADD | Action.UPDATE | Action.DELETE, self._claim_may_help),
            EventHint("UnscheduledPod", Action.UPDATE | Action.POD_GENERATED_CLAIM),
            EventHint("DeviceClass", Action.ADD | Action.UPDATE),
            EventHint("ResourceSlice", Action.ADD | Action.UPDATE),
        ]

    def _claim_may_help(self, pod: PodInfo, old: Object | None, new: Object | None) -> bool:
        """Devices became free, or a claim of the pod came or changed its status."""
        held = old is not None and claims.allocation_of(old) is not None
        if held and (new is None or claims.allocation_of(new) is None):
            return True
        if new is None:
            return claims.is_for_extended_resources(old or {"metadata": {}}, pod.pod)
        try:
            mine = any(name == name_of(new) for name, _ in claims.pod_claims(pod.pod))
        except ClaimError:
            return False
        return (
            mine and namespace_of(new) == pod.namespace and (old is None or status_of(old) != status_of(new))
        )

    # ---- which claims

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        if not pod.spec.get("resourceClaims"):
            return None
        try:
            self._claims_of(pod)
        except ClaimError as error:
            return Status(Code.UNRESOLVABLE, str(error))
        return None

    def _claims_of(self, pod: PodInfo) -> list[Object]:
        found = []
        for name, generated in claims.pod_claims(pod.pod):
            claim = self._devices.claim(pod.namespace, name)
            if claim is None:
                raise ClaimError(f'resourceclaim.resource.k8s.io "{name}" not found')
            objection = claims.objection_to(claim, pod.pod, generated)
            if objection:
                raise ClaimError(objection)
            found.append(claim)
        return found

    def pre_filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Status | None:
        resources = self._resources_of(pod)
        if not resources and not pod.spec.get("resourceClaims"):
            return SKIP
        plan = _Plan(resources=resources)
        try:
            plan.claims = self._claims_of(pod)
            for claim in plan.claims:
                if claims.allocation_of(claim) is not None:
                    if not claims.can_be_reserved(claim) and not claims.is_reserved_for(claim, pod.uid):
                        return Status(Code.UNRESOLVABLE, "resourceclaim in use")
                elif self._devices.ledger.is_pending(uid_of(claim)):
                    name = f"{namespace_of(claim)}/{name_of(claim)}"
                    text = f"resource claim {name} is in the process of being allocated"
                    return Status(Code.UNRESOLVABLE, text)
                else:
                    plan.asks.append(asks.read(claim, self._devices.device_class))
        except (ClaimError, UnknownClass) as error:
            return Status(Code.UNRESOLVABLE, str(error))
        except AskError as error:
            raise PluginError(f'running PreFilter plugin "{self.name}": {error}') from None
        if resources:
            plan.stale = self._devices.claim_for_extended_resources(pod.pod)
        if not plan.claims and not resources:
            return SKIP
        plan.shape = asks.shape_of(plan.asks)
        state.data[self.name] = plan
        return None

    def _resources_of(self, pod: PodInfo) -> dict[str, str]:
        """The pod's extended resources for which a class of devices stands."""
        return {
            name: device_class
            for name, number in pod.requests.items()
            if number and "/" in name and (device_class := self._devices.class_for(name))
        }

    # ---- which nodes

    def filter(self, state: CycleState, pod: PodInfo, nodes: Nodes) -> Iterator[Refusal]:
        plan: _Plan = state.data[self.name]
        if plan.stale is not None:
            yield Refusal(nodes.valid.copy(), REASON_STALE, resolvable=False)
            return
        far = np.zeros(nodes.length, dtype=np.bool_)
        for claim in plan.claims:
            selector = (claims.allocation_of(claim) or {}).get("nodeSelector")
            if selector:
                unreachable = ~node_selection.reachable(selector.get("nodeSelectorTerms") or [], nodes)
                if (unreachable & nodes.valid).any():
                    plan.elsewhere.append(claim)
                    far |= unreachable
        if plan.asks or plan.resources:
            answers = plan.answers = self._answers(plan, pod, nodes)
            for number in np.unique(answers[answers <= MISSING]):
                text = REASON_MISSING if number == MISSING else self._problems[MISSING - 1 - int(number)]
                yield Refusal(answers == number, text, resolvable=False)
        if far.any():
            yield Refusal(far, REASON_ELSEWHERE, resolvable=False)

    def _answers(self, plan: _Plan, pod: PodInfo, nodes: Nodes) -> Answers:
        """Remembered by what is asked: only nodes where something was taken or given back are looked at again."""
        if len(self._problems) > MOST_PROBLEMS:
            self._problems = []
            self._problems_epoch += 1
        state = (*self._devices.inventory.state, self._devices.classes_version, self._problems_epoch)
        wanted = _requested_by_containers(pod, plan.resources)
        key = (self.name, plan.shape, _names_in_problems(plan), wanted, *state)
        self._made_asks.clear()
        try:
            found: Answers = nodes.followed(key, lambda places: self._answer(plan, pod, nodes, places))
        except AskError as error:
            raise PluginError(f'running "{self.name}" filter plugin: {error}') from None
        return found

    def _answer(self, plan: _Plan, pod: PodInfo, nodes: Nodes, places: Places) -> Answers:
        """Nodes that reach the same devices, and lack the same resources, have the same answer."""
        known: dict[Any, int] = {}
        every = np.arange(nodes.length)[places]
        found = np.full(len(every), MISSING, dtype=np.int32)
        for number, place in enumerate(every):
            if not nodes.valid[place]:
                continue
            lacking = self._lacking(plan, nodes, int(place))
            key = (id(self._devices.inventory.at(int(place))), lacking)
            if key not in known:
                known[key] = self._score_at(plan, pod, int(place), lacking)
            found[number] = known[key]
        return found

    def _lacking(self, plan: _Plan, nodes: Nodes, place: int) -> frozenset[str]:
        """The extended resources that devices must stand for there: no device plugin offers them."""
        if not plan.resources:
            return frozenset()
        return frozenset(n for n in plan.resources if not nodes.resource(n).allocatable[place])

    def _score_at(self, plan: _Plan, pod: PodInfo, place: int, lacking: frozenset[str]) -> int:
        try:
            solution = self._solve(plan, pod, place, lacking)
        except NodeProblem as problem:
            text = str(problem)
            if text not in self._problems:
                self._problems.append(text)
            return MISSING - 1 - self._problems.index(text)
        return MISSING if solution is None else solution.score

    def _solve(self, plan: _Plan, pod: PodInfo, place: int, lacking: frozenset[str]) -> Solution | None:
        wanted = list(plan.asks)
        if lacking:
            wanted.append(self._made_ask(plan, pod, lacking)[1])
        if not wanted:
            return Solution([], 0)
        return self._devices.solve(wanted, place)

    def _made_ask(
        self, plan: _Plan, pod: PodInfo, lacking: frozenset[str]
    ) -> tuple[extended_resources.Requests, ClaimAsk]:
        known = self._made_asks.get(lacking)
        if known is None:
            made = extended_resources.requests_of(pod.pod, {name: plan.resources[name] for name in lacking})
            claim = extended_resources.new_claim(pod.pod, made)
            claim["metadata"] |= {"name": "<extended-resources>", "uid": f"extended-resources-of-{pod.uid}"}
            known = self._made_asks[lacking] = (made, asks.read(claim, self._devices.device_class))
        return known

    # ---- nobody passed

    async def post_filter(self, state: CycleState, pod: PodInfo, verdict: Any) -> PostFilterResult:
        """Devices that nobody uses are better given back than pods asked to leave."""
        plan: _Plan | None = state.data.get(self.name)
        if plan is None:
            return PostFilterResult(None, "no new claims to deallocate")
        try:
            if plan.stale is not None:
                await self._writer.delete(plan.stale)
                return PostFilterResult(None, "deletion of ResourceClaim completed")
            for claim in plan.elsewhere:
                users = claims.consumers_of(claim)
                if not users or (len(users) == 1 and users[0].get("uid") == pod.uid):
                    await self._writer.deallocate(claim)
                    return PostFilterResult(None, "deallocation of ResourceClaim completed")
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("claims of %s not given back: %s", pod.key, error or type(error).__name__)
        return PostFilterResult(None, "still not schedulable")

    # ---- the best node

    def pre_score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Status | None:
        plan: _Plan | None = state.data.get(self.name)
        return None if plan is not None and plan.answers is not None and plan.is_prioritized else SKIP

    def score(self, state: CycleState, pod: PodInfo, nodes: Nodes, feasible: Mask) -> Scores:
        plan: _Plan = state.data[self.name]
        assert plan.answers is not None
        return plan.answers.astype(np.float64)

    def normalize(self, state: CycleState, scores: Scores, feasible: Mask) -> Scores:
        return spread_out(scores, feasible)

    # ---- a node is chosen

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        plan: _Plan | None = state.data.get(self.name)
        if plan is None or not (plan.asks or plan.resources):
            return None
        place = self.handle.nodes.index[node]
        lacking = self._lacking(plan, self.handle.nodes, place)
        try:
            solution = self._solve(plan, pod, place, lacking)
        except (NodeProblem, AskError) as error:
            return Status(Code.ERROR, str(error))
        if solution is None:
            return Status(Code.ERROR, "claim allocation not found for node")
        wanted = list(plan.asks)
        if lacking:
            plan.made, made = self._made_ask(plan, pod, lacking)
            plan.made_claim = made.claim
            wanted.append(made)
        for ask, picks in zip(wanted, solution.picks, strict=True):
            uid = uid_of(ask.claim)
            plan.allocations[uid] = allocation.write(ask, picks, node)
            self._devices.ledger.reserve(uid, plan.allocations[uid])
        return None

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        plan: _Plan | None = state.data.get(self.name)
        if plan is None:
            return
        for claim in [*plan.claims, *([plan.made_claim] if plan.made_claim is not None else [])]:
            if uid_of(claim) in plan.allocations:
                self._devices.release(claim)
        for claim in plan.claims:
            newest = self._devices.claim(pod.namespace, name_of(claim)) or claim
            if claims.allocation_of(newest) is not None and claims.is_reserved_for(newest, pod.uid):
                self.handle.spawn(self._writer.unreserve(newest, pod.uid))
        if plan.made_claim is not None and not name_of(plan.made_claim).startswith("<"):
            self.handle.spawn(self._writer.delete(plan.made_claim))

    def takes_time(self, state: CycleState, pod: PodInfo, node: str) -> bool:
        plan: _Plan | None = state.data.get(self.name)
        if plan is None:
            return False
        held = all(claims.is_reserved_for(claim, pod.uid) for claim in plan.claims)
        return plan.made_claim is not None or not held

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        plan: _Plan | None = state.data.get(self.name)
        if plan is None:
            return None
        try:
            for number, claim in enumerate(plan.claims):
                if not claims.is_reserved_for(claim, pod.uid):
                    given = plan.allocations.get(uid_of(claim))
                    plan.claims[number] = await self._writer.reserve(claim, given, pod)
            if plan.made_claim is not None and plan.made is not None:
                given = plan.allocations.pop(uid_of(plan.made_claim))
                memory = plan.made_claim
                plan.made_claim = await self._writer.create(memory, plan.made, given, pod)
                self._devices.ledger.release(uid_of(memory), None)
            await self._writer.wait_for_drivers(plan.claims, self._timeout)
        except BindingFailed as failure:
            return Status(Code.UNSCHEDULABLE, str(failure))
        except (StatusError, ClaimError) as error:
            return Status(Code.ERROR, str(error))
        return None


def _requested_by_containers(pod: PodInfo, resources: dict[str, str]) -> tuple[Any, ...]:
    """What the claim for extended resources would say, as a key."""
    if not resources:
        return ()
    made = extended_resources.requests_of(pod.pod, resources)
    return (repr(made.requests),)


def _names_in_problems(plan: _Plan) -> tuple[str, ...]:
    """Only of a request for all devices do problems name the claim."""
    return tuple(
        name_of(ask.claim)
        for ask in plan.asks
        if any(not one.count for request in ask.requests for one in request.alternatives)
    )
