"""Which pods would have to go, and is it worth it?

    1. may the pod preempt at all?                           `may_preempt`
    2. nodes that could take it if pods went away            from the verdict of filtering
    3. per node: the fewest, least important victims         `find_candidates`
    4. the node where it hurts least                         `choose`
    5. delete the victims; the pod waits for their end       `carry_out`

Step 3 asks all candidate nodes at once: every pod of lower priority is taken out of the columns, the
filters run once, then the pods
come back one per node and step, the most important first, and stay where the new pod still fits.
Source: https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import conditions, labels
from kubarium.apimachinery.errors import NotFound, StatusError
from kubarium.apimachinery.object import Object, ObjectKey, copy, is_deleting, labels_of
from kubarium.client.lister import Lister
from kubarium.component_base import logging
from scheduler.candidates import Candidate, Numbers, Outcome, Outcomes, choose, importance
from scheduler.extender import Extender, ExtenderError
from scheduler.framework import metrics
from scheduler.framework.columns import Mask
from scheduler.framework.interface import LIVING_PODS, CycleState, Handle, PostFilterResult
from scheduler.framework.nodes import Nodes
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.runtime import Framework
from scheduler.framework.verdict import Refused, Verdict, summary
from scheduler.snapshot import WhatIf

log = logging.get(__name__)

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
REMEMBERED_SHAPES = 32
BY_SCHEDULER = "PreemptionByScheduler"


class Preemption:
    """Makes room for pods of one profile."""

    def __init__(self, handle: Handle, budgets: Lister, *, share: float, least: int) -> None:
        """Looks at `share` of the nodes, but at least at so many."""
        self._handle = handle
        self._budgets = budgets
        self._share, self._least = share, least
        self._pods = handle.client.resource("v1", "pods")
        self._living = handle.informers.informer("v1", "pods", field_selector=LIVING_PODS).lister
        # Pods for which victims are being asked to leave, by uid; None: there are more victims than the last.
        self._last_victim_of: dict[str, ObjectKey | None] = {}
        self._outcomes_of: dict[Hashable, Outcomes] = {}  # by what the pod asks for

    async def preempt(self, state: CycleState, pod: PodInfo, verdict: Verdict) -> PostFilterResult:
        """Steps 1 to 5; the deletions go on in the background."""
        framework: Framework = self._handle.framework
        nodes = self._handle.nodes
        possible = verdict.resolvable_nodes(nodes.valid)
        if verdict.pre_filter_reason:
            possible &= False
        objection = self.may_preempt(pod, nodes, possible)
        if objection:
            return PostFilterResult(None, f"preemption: {objection}")
        metrics.preemption_attempts.inc()
        places = self._sample(np.flatnonzero(possible))
        outcomes = self.find_candidates(framework, state, pod, nodes, places)
        best = outcomes.best(places)
        if best is not None and any(one.has_say_in_preemption(pod) for one in self._handle.extenders):
            try:
                agreed = await self._ask_extenders(pod, nodes, outcomes.candidates(places))
            except ExtenderError as error:
                return PostFilterResult(None, f"preemption: {error}")
            best = choose(agreed) if agreed else None
        if best is None:
            helpless = nodes.valid & ~possible
            text = summary([*outcomes.refused(places), Refused("", NOT_HELPFUL, False, helpless)])
            return PostFilterResult("", f"preemption: 0/{nodes.count} nodes are available{text}")
        node = nodes.name_of(best.place)
        victims = [victim for victim in best.victims if not is_deleting(victim.pod)]
        if victims:  # else all are leaving already
            metrics.preemption_victims.observe(len(best.victims))
            self._handle.spawn(self.carry_out(pod, node, victims))
        return PostFilterResult(node, "", success=True)

    # ---- 1

    def may_preempt(self, pod: PodInfo, nodes: Nodes, possible: Mask) -> str:
        """Why not, or nothing. `possible`: where it could go if others went."""
        if pod.spec.get("preemptionPolicy") == "Never":
            return "not eligible due to preemptionPolicy=Never."
        nominated = self._handle.nominator.node_of(pod)
        info = nodes.info(nominated) if nominated else None
        if info is None or not possible[info.index]:
            return ""  # nobody was promised anything, or nobody's leaving helps there any more
        for other in info.pods.values():
            if other.priority < pod.priority and _is_leaving_for_us(other.pod):
                return "not eligible due to a terminating pod on the nominated node."
        return ""

    # ---- 2 and 3

    def _sample(self, places: Numbers) -> Numbers:
        """Not all of them where there are many: enough to choose from, beginning anywhere."""
        wanted = max(self._least, int(len(places) * self._share))
        if len(places) <= wanted:
            return places
        first = self._handle.random.randrange(len(places))
        return np.sort(places.take(np.arange(first, first + wanted), mode="wrap"))

    def find_candidates(
        self, framework: Framework, state: CycleState, pod: PodInfo, nodes: Nodes, places: Numbers
    ) -> Outcomes:
        """Which of the places would take the pod after losing whom, and why the others would not."""
        budgets = Budgets(self._budgets)
        plugins = [
            p for p in framework.filter_plugins if p.depends_on_pods and p.name not in state.skip_filter
        ]
        local = all(plugin.local for plugin in plugins)
        remember = local and not budgets.any
        known = self._known_outcomes(framework, pod, nodes) if remember else Outcomes(nodes)
        fresh: list[int] = known.unknown(places).tolist()
        for group in [fresh] if local else [[place] for place in fresh]:
            if group:
                known.note(self._outcomes(framework, state, pod, nodes, group, budgets))
        return known

    def _known_outcomes(self, framework: Framework, pod: PodInfo, nodes: Nodes) -> Outcomes:
        """What was found for a pod that asks for the same.

        Not for pods with volumes, whose verdict hangs on more than the node, nor where room is promised to others.
        """
        if pod.volumes or self._handle.nominator.ahead_of(pod):
            return Outcomes(nodes)
        shape = (framework.name, pod.priority, tuple(pod.requests.items()), pod.host_ports)
        known = self._outcomes_of.pop(shape, None)
        if known is None:
            known = Outcomes(nodes)
            if len(self._outcomes_of) >= REMEMBERED_SHAPES:
                self._outcomes_of.pop(next(iter(self._outcomes_of)))
        self._outcomes_of[shape] = known
        return known

    def _outcomes(
        self,
        framework: Framework,
        state: CycleState,
        pod: PodInfo,
        nodes: Nodes,
        places: Sequence[int],
        budgets: Budgets,
    ) -> dict[int, Outcome]:
        """Per node: the candidate that it is, or why it is none."""
        stamps = {place: int(nodes.stamps[place]) for place in places}
        lower: dict[int, list[PodInfo]] = {}
        for place in places:
            info = nodes.infos[place]
            assert info is not None
            lesser = [other for other in info.pods.values() if other.priority < pod.priority]
            if lesser:
                lower[place] = sorted(lesser, key=importance)
        found = {place: Outcome(stamps[place], None, (NO_VICTIMS,)) for place in places if place not in lower}
        if not lower:
            return found
        candidates, refused = self._try(framework, state, pod, nodes, lower, budgets)
        for candidate in candidates:
            found[candidate.place] = Outcome(stamps[candidate.place], candidate, ())
        for place in lower:
            if place not in found:
                reasons = tuple(dict.fromkeys(entry.reason for entry in refused if entry.nodes[place]))
                found[place] = Outcome(stamps[place], None, reasons)
        return found

    def _try(
        self,
        framework: Framework,
        state: CycleState,
        pod: PodInfo,
        nodes: Nodes,
        lower: dict[int, list[PodInfo]],
        budgets: Budgets,
    ) -> tuple[list[Candidate], list[Refused]]:
        """One group of nodes that do not influence each other."""
        with WhatIf(nodes) as what_if:
            for node, other in self._handle.nominator.ahead_of(pod):
                if nodes.index.get(node) in lower and other.node < 0:
                    what_if.add(other, nodes.index[node])
            for pods in lower.values():
                for other in pods:
                    what_if.remove(other)
            verdict = framework.filter(state, pod, nodes, only_pods=True)
            group = nodes.mask_of(list(lower))
            refused = [entry._replace(nodes=entry.nodes & group) for entry in verdict.refused]
            candidates = {place: Candidate(place) for place in lower if verdict.feasible[place]}
            lines = {place: budgets.sort(lower[place]) for place in candidates}
            for turn in range(max((len(line) for line in lines.values()), default=0)):
                back = [(place, *line[turn]) for place, line in lines.items() if turn < len(line)]
                for place, other, _ in back:
                    what_if.add(other, place)
                fits = framework.filter(state, pod, nodes, only_pods=True).feasible
                for place, other, violates in back:
                    if not fits[place]:
                        what_if.remove(other)
                        candidates[place].victims.append(other)
                        candidates[place].violations += violates
        for candidate in candidates.values():
            candidate.settle()
        return [candidate for candidate in candidates.values() if candidate.victims], refused

    # ---- 4, before the choice

    async def _ask_extenders(
        self, pod: PodInfo, nodes: Nodes, candidates: list[Candidate]
    ) -> list[Candidate]:
        """Every extender that wants it may strike out nodes and name other victims."""
        for extender in self._handle.extenders:
            if not candidates or not extender.has_say_in_preemption(pod):
                continue
            wanted = {nodes.name_of(one.place): (one.victims, one.violations) for one in candidates}
            try:
                agreed = await extender.preempt(pod, wanted)
                candidates = [
                    self._agreed(extender, nodes, node, uids, wanted) for node, uids in agreed.items()
                ]
            except ExtenderError as error:
                if not extender.ignorable:
                    raise
                log.warning("skipping extender %s as it returned error and has ignorable flag set: %s",
                            extender.name, error)  # fmt: skip
        return candidates

    def _agreed(
        self,
        extender: Extender,
        nodes: Nodes,
        node: str,
        uids: Sequence[str],
        wanted: Mapping[str, tuple[Sequence[PodInfo], int]],
    ) -> Candidate:
        info = nodes.info(node)
        if info is None or node not in wanted:
            raise ExtenderError(f'extender "{extender.name}" names node "{node}", which is no candidate')
        if not uids:
            raise ExtenderError(f'expected at least one victim pod on node "{node}"')
        for uid in uids:
            if uid not in info.pods:
                raise ExtenderError(
                    f"extender: {extender.name} claims to preempt pod (UID: {uid}) on node: {node}, "
                    "but the pod is not found on that node"
                )
        candidate = Candidate(info.index, [info.pods[uid] for uid in uids], wanted[node][1])
        candidate.settle()
        return candidate

    # ---- 5

    async def carry_out(self, pod: PodInfo, node: str, victims: Sequence[PodInfo]) -> None:
        """Withdraw promises to lesser pods on that node, and delete the victims.

        The last victim goes when all others are gone or going. Until its deletion has begun the pod is not tried again,
        so that it does not ask for the same twice.
        """
        started = time.perf_counter()
        self._last_victim_of[pod.uid] = None
        result = "error"
        try:
            await self._withdraw_promises(pod, node)
            *others, last = victims
            if all(await asyncio.gather(*(self._evict(pod, node, victim) for victim in others))):
                self._last_victim_of[pod.uid] = last.key
                result = "success" if await self._evict(pod, node, last) else "error"
        finally:
            del self._last_victim_of[pod.uid]
            metrics.preemption_goroutines_seconds.labels(result).observe(time.perf_counter() - started)
            metrics.preemption_goroutines.labels(result).inc()
        if result == "error" or self._living.get(last.key) is None:
            self._handle.activate(pod.uid)  # nothing else might wake it

    def is_making_room_for(self, pod: PodInfo) -> bool:
        """Are victims being asked to leave for this pod right now?"""
        if pod.uid not in self._last_victim_of:
            return False
        last = self._last_victim_of[pod.uid]
        # What the informer shows may be known before the answer to the deletion.
        victim = self._living.get(last) if last is not None else None
        return last is None or (victim is not None and not is_deleting(victim))

    async def _withdraw_promises(self, pod: PodInfo, node: str) -> None:
        for other in self._handle.nominator.pods_on(node):
            if other.priority < pod.priority:
                self._handle.nominator.remove(other)
                await self._patch(other, {"nominatedNodeName": None})

    async def _evict(self, pod: PodInfo, node: str, victim: PodInfo) -> bool:
        """Whether it is on its way."""
        waiting = self._handle.waiting.get(victim.uid)
        try:
            if waiting is not None:
                waiting.reject("DefaultPreemption", "preempted")
            else:
                await self._delete(pod, victim)
        except NotFound:
            return True
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("preempting %s failed: %s", victim.key, error or type(error).__name__)
            return False
        log.info("preempted %s on %s for %s", victim.key, node, pod.key)
        note = f"Preempted by pod {pod.uid} on node {node}"
        self._handle.record(victim.pod, "Normal", "Preempted", "Preempting", note, pod.pod)
        return True

    async def _delete(self, pod: PodInfo, victim: PodInfo) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": BY_SCHEDULER,
            "message": f"{pod.scheduler_name}: preempting to accommodate a higher priority pod",
        }
        found: list[Object] = (copy(victim.pod).get("status") or {}).get("conditions") or []
        told = pod_status.observed(victim.pod, condition)
        conditions.set_condition(found, told, self._handle.clock.now())
        await self._patch(victim, {"conditions": found})
        await self._pods.delete(victim.name, victim.namespace, preconditions={"uid": victim.uid})

    async def _patch(self, pod: PodInfo, status: Object) -> None:
        body = {"metadata": {"uid": pod.uid}, "status": status}
        try:
            await self._pods.patch(pod.name, body, pod.namespace, type="strategic", subresource="status")
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.info("status of %s not updated: %s", pod.key, error or type(error).__name__)


class Budgets:
    """How many disruptions each PodDisruptionBudget still allows, at this moment."""

    def __init__(self, lister: Lister) -> None:
        self._entries = [
            (budget["metadata"]["namespace"], _selector_of(budget), budget.get("status") or {})
            for budget in lister.list()
        ]

    @property
    def any(self) -> bool:
        """Are there any?"""
        return bool(self._entries)

    def sort(self, pods: Sequence[PodInfo]) -> list[tuple[PodInfo, bool]]:
        """The pods with whether losing them breaks a budget; those come first, to be spared first."""
        if not self._entries:
            return [(pod, False) for pod in pods]
        left = [status.get("disruptionsAllowed") or 0 for _, _, status in self._entries]
        marked = [(pod, self._takes(pod, left)) for pod in pods]
        return [entry for entry in marked if entry[1]] + [entry for entry in marked if not entry[1]]

    def _takes(self, pod: PodInfo, left: list[int]) -> bool:
        violates = False
        for number, (namespace, selector, status) in enumerate(self._entries):
            if namespace != pod.namespace or not pod.labels or not selector.matches(labels_of(pod.pod)):
                continue
            if pod.name in (status.get("disruptedPods") or {}):
                continue  # its disruption is counted already
            left[number] -= 1
            violates = violates or left[number] < 0
        return violates


def _selector_of(budget: Object) -> labels.Selector:
    selector = labels.from_label_selector((budget.get("spec") or {}).get("selector"))
    return (
        labels.NOTHING if selector.is_everything and not (budget["spec"].get("selector") or {}) else selector
    )


def _is_leaving_for_us(pod: Object) -> bool:
    if "deletionTimestamp" not in pod["metadata"]:
        return False
    target = conditions.find((pod.get("status") or {}).get("conditions"), "DisruptionTarget")
    return target is not None and (target.get("status"), target.get("reason")) == ("True", BY_SCHEDULER)
