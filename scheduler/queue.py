"""The pods that wait for a node, in three places, and what moves them.

    active          ready to be tried, best first (queue sort plugin)
    backoff         tried in vain a moment ago; ready when their delay is over, or when nobody else is
    unschedulable   tried in vain; asleep until something happens that may help them
    (gated          in `unschedulable`, never tried: a PreEnqueue plugin keeps them)

    pop ─▶ scheduling ──ok──▶ done
              └─ failed ─▶ unschedulable ──event that a refusing plugin asked for──▶ backoff or active
                                       └── five minutes at most

Events that arrive while a pod is being tried are kept, so that none is missed between the look and the lying down.
Source: https://github.com/kubernetes/enhancements/tree/master/keps/sig-scheduling/4247-queueinghint
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kubarium.apimachinery.object import Object
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock
from kubarium.component_base.metrics import Labels
from scheduler.framework import metrics
from scheduler.framework.interface import Action, ClusterEvent, EventHint, Status
from scheduler.framework.nominator import Nominator
from scheduler.framework.pod_info import PodInfo

LONGEST_SLEEP = 300.0  # seconds in `unschedulable` before a pod is tried again whatever happened
FLUSH_PERIOD = 30.0  # seconds between looks for such pods

ACTIVE, BACKOFF, UNSCHEDULABLE = "active", "backoff", "unschedulable"

SortKey = Callable[[PodInfo, float], tuple[Any, ...]]


@dataclass(slots=True)
class QueuedPod:
    """A pod without a node, and how it has fared so far."""

    info: PodInfo
    since: float  # when it entered its present place in line
    first_seen: float  # when it was first ready to be tried
    attempts: int = 0
    failures: int = 0  # attempts in a row that were not merely the API server's trouble
    errors: int = 0
    plugins: set[str] = field(default_factory=set)  # who refused it last time
    flushed: bool = False  # is it tried again only because it has slept for so long?
    gated_by: str = ""
    where: str = ""
    entry: int = 0  # identifies its newest heap entry; older ones are void


class _Happening(NamedTuple):
    event: ClusterEvent
    old: Object | None
    new: Object | None


class _Interest(NamedTuple):
    plugin: str
    actions: int
    hint: Callable[[PodInfo, Object | None, Object | None], bool] | None

    def may_help(self, pod: PodInfo, happening: _Happening) -> bool:
        """Does the plugin believe that the pod has a chance now?"""
        if self.hint is None:
            return True
        started = time.perf_counter()
        answer = self.hint(pod, happening.old, happening.new)
        taken = time.perf_counter() - started
        metrics.hint_taken(self.plugin, happening.event.label, answer).observe(taken)
        return answer


class SchedulingQueue:
    """Owned by the scheduler's loop; `run` moves pods whose time has come."""

    def __init__(
        self,
        clock: Clock,
        nominator: Nominator,
        *,
        sort_key: SortKey,
        pre_enqueue: Callable[[PodInfo], Status | None],
        hints: Mapping[str, Iterable[EventHint]],
        backoff: Backoff | None = None,
        longest_sleep: float = LONGEST_SLEEP,
    ) -> None:
        """`hints`: per plugin, the events it wants to hear of."""
        self._clock, self.nominator = clock, nominator
        self._sort_key, self._pre_enqueue = sort_key, pre_enqueue
        self._backoff_delay = backoff or Backoff(initial=1.0, maximum=10.0)
        self._longest_sleep = longest_sleep
        self._interests: dict[str, list[_Interest]] = defaultdict(list)
        for plugin, wanted in hints.items():
            for hint in wanted:
                self._interests[hint.resource].append(_Interest(plugin, hint.actions, hint.hint))
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[tuple[tuple[Any, ...], int, str]] = []
        self._backoff: list[tuple[float, int, str]] = []
        self._refused_by: dict[str, set[str]] = defaultdict(set)  # plugin -> unschedulable pods
        self._sizes = {ACTIVE: 0, BACKOFF: 0, UNSCHEDULABLE: 0}
        self._entries = itertools.count(1)
        self._in_flight: dict[str, int] = {}  # uid -> number of the first happening it has not seen
        self._happenings: deque[_Happening] = deque()
        self._happening_offset = 0
        self._news = asyncio.Event()  # something to pop
        self._backoff_news = asyncio.Event()
        self._incoming: dict[tuple[str, str], Any] = {}
        for name in (ACTIVE, BACKOFF, UNSCHEDULABLE, "gated"):
            metrics.pending_pods.labels(name).set_function(functools.partial(self.size, name))
        metrics.inflight_events.read = self._remembered

    # ---- what the informers say about pods without a node

    def add(self, info: PodInfo) -> None:
        """A new pod."""
        if info.uid in self._pods or info.uid in self._in_flight:
            self.update(None, info)
            return
        now = self._clock.monotonic()
        queued = QueuedPod(info, since=now, first_seen=now)
        self._pods[info.uid] = queued
        nominated = (info.pod.get("status") or {}).get("nominatedNodeName")
        if nominated:
            self.nominator.add(info, nominated)
        self._activate(queued, "UnscheduledPodAdd")

    def update(self, old: Object | None, info: PodInfo) -> None:
        """A waiting pod changed."""
        queued = self._pods.get(info.uid)
        if queued is None:
            return
        queued.info = info
        nominated = self.nominator.node_of(info)
        if nominated:
            self.nominator.add(info, nominated)
        if queued.where != UNSCHEDULABLE:
            return
        if queued.gated_by:
            status = self._pre_enqueue(info)
            if status is None or status.plugin != queued.gated_by:
                self._leave(queued)  # it may go, or now waits for what another plugin wants to see
                self._activate(queued, "PodSchedulingGatesEliminated")
            return
        event = ClusterEvent("UnscheduledPod", _what_changed(old, info.pod), "UnscheduledPodUpdate")
        if event.action and self._may_help(queued, _Happening(event, old, info.pod)):
            self._requeue(queued, event.label)

    def remove(self, uid: str) -> None:
        """A waiting pod was deleted, or got a node from somebody else."""
        queued = self._pods.pop(uid, None)
        if queued is not None:
            self._leave(queued)
            self.nominator.remove(queued.info)

    # ---- the loop's side

    async def pop(self) -> QueuedPod:
        """The next pod to try; waits for one. Until `done`, what happens is remembered for it."""
        while True:
            queued = self._next_active() or self._next_backing_off()
            if queued is not None:
                self._leave(queued)
                del self._pods[queued.info.uid]
                self._in_flight[queued.info.uid] = self._happening_offset + len(self._happenings)
                queued.attempts += 1
                return queued
            self._news.clear()
            await self._news.wait()

    def done(self, uid: str) -> None:
        """The pod's cycle is over: it has a node, or it was put back."""
        if self._in_flight.pop(uid, None) is None:
            return
        first = next(
            iter(self._in_flight.values()), None
        )  # pods are popped, and so kept here, in order of time
        if first is None:
            self._happening_offset += len(self._happenings)
            self._happenings.clear()
            return
        while self._happening_offset < first:
            self._happenings.popleft()
            self._happening_offset += 1

    def put_back(self, queued: QueuedPod, plugins: set[str], *, error: bool = False) -> None:
        """An attempt failed. Without a plugin to blame the pod is tried again after its delay."""
        uid = queued.info.uid
        seen = self._in_flight.get(uid)
        queued.plugins = set(plugins)
        queued.flushed = False
        if error:
            queued.errors += 1
        else:
            queued.failures += 1
            queued.errors = 0
        if uid in self._pods:  # it was deleted and made again with the same uid: cannot be, but be safe
            self.done(uid)
            return
        self._pods[uid] = queued
        queued.since = self._clock.monotonic()
        missed = itertools.islice(self._happenings, max(0, (seen or 0) - self._happening_offset), None)
        helpful = seen is not None and any(self._may_help(queued, happening) for happening in missed)
        self.done(uid)
        if error or not plugins or helpful:
            self._back_off(queued, "ScheduleAttemptFailure")
        else:
            self._lie_down(queued, "ScheduleAttemptFailure")

    def happened(
        self, event: ClusterEvent, old: Object | None = None, new: Object | None = None, *, but: str = ""
    ) -> None:
        """Something changed in the cluster: wake the pods that it may help, `but` for one."""
        interests = self._interests.get(event.resource)
        if not interests:
            return
        interests = [interest for interest in interests if interest.actions & event.action]
        if not interests:
            return
        happening = _Happening(event, old, new)
        if self._in_flight:
            self._happenings.append(happening)
        if not self._sizes[UNSCHEDULABLE]:
            return
        for interest in interests:
            for uid in list(self._refused_by.get(interest.plugin, ())):
                queued = self._pods[uid]
                if queued.where == UNSCHEDULABLE and uid != but and interest.may_help(queued.info, happening):
                    self._requeue(queued, event.label)

    def activate(self, uid: str) -> None:
        """Try this waiting pod as soon as possible."""
        queued = self._pods.get(uid)
        if queued is not None and queued.where != ACTIVE:
            self._leave(queued)
            self._activate(queued, "ForceActivate")

    async def run(self) -> None:
        """Move pods whose delay is over, and those that have slept too long."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush_backoff_for_ever(), name="queue backoff")
            tasks.create_task(self._flush_sleepers_for_ever(), name="queue unschedulable")

    def size(self, where: str) -> int:
        """How many pods are in `active`, `backoff`, `unschedulable` or `gated`."""
        gated = (
            sum(1 for queued in self._pods.values() if queued.gated_by) if self._sizes[UNSCHEDULABLE] else 0
        )
        if where == "gated":
            return gated
        return self._sizes[where] - (gated if where == UNSCHEDULABLE else 0)

    def refused_by(self, plugin: str, profile: str) -> int:
        """How many pods of a profile sleep because of a plugin."""
        return sum(
            1 for uid in self._refused_by.get(plugin, ()) if self._pods[uid].info.scheduler_name == profile
        )

    def get(self, uid: str) -> QueuedPod | None:
        """A waiting pod."""
        return self._pods.get(uid)

    # ---- moving

    def _next_active(self) -> QueuedPod | None:
        while self._active:
            _, entry, uid = heapq.heappop(self._active)
            queued = self._pods.get(uid)
            if queued is not None and queued.entry == entry:
                return queued
        return None

    def _next_backing_off(self) -> QueuedPod | None:
        """Nobody is ready: rather than do nothing, try one early, unless its trouble was the API server's."""
        while self._backoff:
            _, entry, uid = self._backoff[0]
            queued = self._pods.get(uid)
            if queued is None or queued.entry != entry:
                heapq.heappop(self._backoff)
                continue
            if queued.errors:
                return None
            heapq.heappop(self._backoff)
            return queued
        return None

    def _activate(self, queued: QueuedPod, label: str) -> None:
        if self._is_gated(queued, label):
            return
        queued.where = ACTIVE
        self._sizes[ACTIVE] += 1
        queued.entry = next(self._entries)
        key = self._sort_key(queued.info, queued.since)
        heapq.heappush(self._active, (key, queued.entry, queued.info.uid))
        self._count_incoming(label, ACTIVE)
        self._news.set()

    def _is_gated(self, queued: QueuedPod, label: str) -> bool:
        """May it not be tried at all now? Then it lies down."""
        status = self._pre_enqueue(queued.info)
        queued.gated_by = status.plugin if status is not None else ""
        if status is not None:
            queued.plugins.add(status.plugin)
            self._lie_down(queued, label)
        return status is not None

    def _back_off(self, queued: QueuedPod, label: str) -> None:
        if self._is_gated(queued, label):
            return
        ready = self._ready_at(queued)
        queued.where = BACKOFF
        self._sizes[BACKOFF] += 1
        queued.entry = next(self._entries)
        heapq.heappush(self._backoff, (ready, queued.entry, queued.info.uid))
        self._count_incoming(label, BACKOFF)
        self._backoff_news.set()
        if not queued.errors:
            self._news.set()

    def _lie_down(self, queued: QueuedPod, label: str) -> None:
        queued.where = UNSCHEDULABLE
        self._sizes[UNSCHEDULABLE] += 1
        queued.entry = 0
        for plugin in queued.plugins:
            self._refused_by[plugin].add(queued.info.uid)
        self._count_incoming(label, UNSCHEDULABLE)

    def _leave(self, queued: QueuedPod) -> None:
        """Out of wherever it is; heap entries become void by number."""
        if queued.where:
            self._sizes[queued.where] -= 1
        if queued.where == UNSCHEDULABLE:
            for plugin in queued.plugins:
                self._refused_by[plugin].discard(queued.info.uid)
        queued.where = ""
        queued.entry = 0

    def _requeue(self, queued: QueuedPod, label: str) -> None:
        self._leave(queued)
        if self._ready_at(queued) > self._clock.monotonic():
            self._back_off(queued, label)
        else:
            self._activate(queued, label)

    def _ready_at(self, queued: QueuedPod) -> float:
        tries = queued.errors or queued.failures
        return queued.since + (self._backoff_delay.delay(tries - 1) if tries else 0.0)

    def _may_help(self, queued: QueuedPod, happening: _Happening) -> bool:
        event = happening.event
        return any(
            interest.plugin in queued.plugins
            and interest.actions & event.action
            and interest.may_help(queued.info, happening)
            for interest in self._interests.get(event.resource, ())
        )

    async def _flush_backoff_for_ever(self) -> None:
        while True:
            self._backoff_news.clear()
            now = self._clock.monotonic()
            while self._backoff and self._backoff[0][0] <= now:
                _, entry, uid = heapq.heappop(self._backoff)
                queued = self._pods.get(uid)
                if queued is not None and queued.entry == entry:
                    self._leave(queued)
                    self._activate(queued, "BackoffComplete")
            if self._backoff:
                await self._clock.sleep(max(0.01, self._backoff[0][0] - now))
            else:
                await self._backoff_news.wait()

    async def _flush_sleepers_for_ever(self) -> None:
        while True:
            await self._clock.sleep(FLUSH_PERIOD)
            now = self._clock.monotonic()
            for queued in list(self._pods.values()):
                if (
                    queued.where == UNSCHEDULABLE
                    and not queued.gated_by
                    and now - queued.since > self._longest_sleep
                ):
                    queued.flushed = True
                    self._requeue(queued, "UnschedulableTimeout")

    def _remembered(self) -> list[tuple[Labels, float]]:
        """What is kept for the pods that are being tried, by name, and those pods."""
        counts = Counter(happening.event.label for happening in self._happenings)
        counts["PodPop"] = len(self._in_flight)
        return [((label,), float(count)) for label, count in counts.items()]

    def _count_incoming(self, label: str, where: str) -> None:
        child = self._incoming.get((label, where))
        if child is None:
            child = self._incoming[label, where] = metrics.incoming_pods.labels(label, where)
        child.inc()


def _what_changed(old: Object | None, new: Object) -> int:
    """Which of the things that scheduling looks at are different in a waiting pod."""
    if old is None:
        return Action.UPDATE
    action = 0
    before, now = old.get("spec") or {}, new.get("spec") or {}
    if (old["metadata"].get("labels") or {}) != (new["metadata"].get("labels") or {}):
        action |= Action.POD_LABEL
    if before.get("tolerations") != now.get("tolerations"):
        action |= Action.POD_TOLERATION
    if before.get("schedulingGates") != now.get("schedulingGates"):
        action |= Action.POD_GATES_ELIMINATED
    if before.get("containers") != now.get("containers"):
        action |= Action.POD_SCALE_DOWN
    if _generated_claims(old) != _generated_claims(new):
        action |= Action.POD_GENERATED_CLAIM
    if before != now:
        action |= Action.UPDATE
    return action


def _generated_claims(pod: Object) -> Any:
    return (pod.get("status") or {}).get("resourceClaimStatuses")
