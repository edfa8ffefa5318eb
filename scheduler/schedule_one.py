"""The spine: one pod at a time gets a node.

`Scheduler.run` takes a pod from the queue, then

    scheduling cycle (one at a time)         binding cycle (many at a time)
    1. find nodes: PreFilter, Filter         5. wait for Permit
       none left: PostFilter, put back       6. PreBind, Bind, PostBind
    2. score them, choose the best           7. say so; or undo and put back
    3. assume: from now on the pod counts
    4. Reserve, Permit
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import numpy as np

from kubarium.api.core.pod.status import POD_SCHEDULED, condition, observed
from kubarium.apimachinery import conditions
from kubarium.apimachinery.errors import NotFound, StatusError
from kubarium.apimachinery.object import Object, copy, is_deleting
from kubarium.client.informer import Informer
from kubarium.client.rest import Client
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from scheduler.cache import Cache
from scheduler.extender import Extender, ExtenderError
from scheduler.framework import metrics
from scheduler.framework.interface import (
    EXTENDER,
    POD_DELETED,
    Code,
    CycleState,
    PluginError,
    PostFilterResult,
    Status,
)
from scheduler.framework.pod_info import PodInfo
from scheduler.framework.runtime import Framework
from scheduler.framework.verdict import Choice, Refused, Verdict
from scheduler.framework.waiting_pods import WaitingPod
from scheduler.journal import Journal
from scheduler.queue import QueuedPod, SchedulingQueue

log = logging.get(__name__)

_sli_seconds = functools.cache(metrics.sli_seconds.labels)

BINDINGS = 32  # binding cycles under way at most
LONGEST_NOTE = 1024  # characters


class Scheduler:
    """Takes pods from the queue and gives them to nodes, for ever."""

    def __init__(
        self,
        *,
        client: Client,
        clock: Clock,
        cache: Cache,
        queue: SchedulingQueue,
        profiles: Mapping[str, Framework],
        extenders: Sequence[Extender] = (),
        pods: Informer | None = None,
        journal: Journal | None = None,
        bindings: int = BINDINGS,
    ) -> None:
        self._pods = client.resource("v1", "pods")
        self._clock = clock
        self.cache, self.queue, self.profiles = cache, queue, profiles
        self._extenders = list(extenders)
        self._informer = pods
        self._journal = journal
        self._slots = asyncio.Semaphore(bindings)
        self._tasks: asyncio.TaskGroup | None = None
        self._counts: dict[tuple[str, str], Any] = {}
        self._telling: dict[str, asyncio.Event] = {}  # pods whose refusal is being written, by uid
        self._under_way = metrics.goroutines.labels("binding")

    async def run(self) -> None:
        """Until cancelled; binding cycles end before this does."""
        async with asyncio.TaskGroup() as self._tasks:
            while True:
                # A slot first: the later a pod is chosen for, the more is known.
                await self._slots.acquire()
                queued = await self.queue.pop()
                try:
                    await self.schedule_one(queued)
                except Exception:  # whatever it is, the next pod must get its turn
                    log.exception("scheduling %s failed", queued.info.key)
                    self._count(queued, "error", 0.0)
                    self.cache.forget(queued.info)
                    self.queue.put_back(queued, set(), error=True)
                    self._slots.release()
                await asyncio.sleep(0)  # let bindings and informers work between pods

    async def schedule_one(self, queued: QueuedPod) -> None:
        """One scheduling cycle; starts the binding cycle, which gives the slot back."""
        pod = queued.info
        framework = self.profiles.get(pod.scheduler_name)
        if framework is None or self._needs_no_node(pod):
            self.queue.done(pod.uid)
            self._slots.release()
            return
        started = time.perf_counter()
        state = CycleState()
        try:
            choice = await self.choose(framework, state, pod)
        except (PluginError, ExtenderError) as error:
            self._start(self._failed(framework, queued, Status(Code.ERROR, str(error)), started))
            return
        if not choice.node:
            await self._no_node(framework, state, queued, choice, started)
            return
        self.cache.assume(pod, choice.node)
        status = framework.reserve(state, pod, choice.node)
        permit = None if status is not None else framework.permit(state, pod, choice.node)
        if isinstance(permit, Status):
            status = permit
        seconds = time.perf_counter() - started
        metrics.algorithm_seconds.observe(seconds)
        if self._journal is not None:
            self._journal.write(pod, self._clock.monotonic(), choice, seconds=seconds)
        if status is not None:
            self._undo(framework, state, pod, choice.node)
            self._start(self._failed(framework, queued, _of_one_node(status), started))
            return
        self._start(
            self._binding_cycle(framework, state, queued, choice.node, permit, started)  # type: ignore[arg-type]
        )

    # ---- 1 and 2: choosing

    async def choose(self, framework: Framework, state: CycleState, pod: PodInfo) -> Choice:
        """Filter and score: a node, or why there is none."""
        nodes = self.cache.nodes
        if not nodes.count:
            return Choice(Verdict(nodes.valid.copy(), 0))
        verdict = framework.find_nodes(state, pod, nodes)
        if self._extenders and verdict.feasible.any():
            await self._ask_extenders(pod, verdict)
        feasible = verdict.feasible
        left = np.count_nonzero(feasible)
        if not left:
            return Choice(verdict)
        promised = nodes.index.get(self.queue.nominator.node_of(pod), -1)
        if promised >= 0 and feasible[promised]:
            return Choice(verdict, nodes.name_of(promised))
        if left == 1:
            return Choice(verdict, nodes.name_of(int(feasible.argmax())))
        row = self._journal.row() if self._journal is not None else None
        totals, parts = framework.score(state, pod, nodes, feasible, row)
        for extender in self._extenders:
            if extender.prioritizes(pod):
                totals += await extender.prioritize(pod, nodes, feasible)
        if left != len(feasible):
            np.copyto(totals, -1.0, where=~feasible)
        best = (totals == totals.max()).nonzero()[0]
        place = int(best[framework.handle.random.randrange(len(best))])
        return Choice(verdict, nodes.name_of(place), totals, parts, place)

    async def _ask_extenders(self, pod: PodInfo, verdict: Verdict) -> None:
        for extender in self._extenders:
            if not extender.filters(pod) or not verdict.feasible.any():
                continue
            try:
                refused = await extender.filter(pod, self.cache.nodes, verdict.feasible)
            except ExtenderError as error:
                if extender.ignorable:
                    log.warning("extender %s skipped: %s", extender.name, error)
                    continue
                raise
            for reason, resolvable, mask in refused:
                verdict.refused.append(Refused(extender.name, reason, resolvable, mask))
                verdict.feasible &= ~mask
                verdict.plugins.add(EXTENDER)

    # ---- no node

    async def _no_node(
        self, framework: Framework, state: CycleState, queued: QueuedPod, choice: Choice, started: float
    ) -> None:
        pod, verdict = queued.info, choice.verdict
        if not verdict.node_count:
            verdict.plugins.update(plugin.name for plugin in framework.filter_plugins)
            result, message = PostFilterResult(""), "no nodes available to schedule pods"
        else:
            result = await framework.post_filter(state, pod, verdict)
            message = verdict.message(result.message)
        seconds = time.perf_counter() - started
        self._count(queued, "unschedulable", seconds)
        if self._journal is not None:
            self._journal.write(pod, self._clock.monotonic(), choice, message, seconds)
        if result.nominated_node:
            self.queue.nominator.add(pod, result.nominated_node)
        elif result.nominated_node == "":
            self.queue.nominator.remove(pod)
        for plugin in verdict.plugins:
            self._watch_refusals(plugin, framework.name)
        self._put_back(queued, verdict.plugins)
        log.debug("no node for %s: %s", pod.key, message)
        framework.handle.record(pod.pod, "Warning", "FailedScheduling", "Scheduling", _shortened(message))
        self._start(self._tell_condition(pod, "Unschedulable", message, result.nominated_node))

    def _put_back(self, queued: QueuedPod, plugins: set[str], *, error: bool = False) -> None:
        """Back into the queue, with the newest state of the pod, unless it is gone or has a node."""
        newest = queued.info.pod if self._informer is None else self._informer.lister.get(queued.info.key)
        gone = newest is None or newest["metadata"].get("uid") != queued.info.pod["metadata"].get("uid")
        if newest is None or gone or (newest.get("spec") or {}).get("nodeName") or is_deleting(newest):
            self.queue.done(queued.info.uid)
            return
        if newest is not queued.info.pod:
            queued.info = PodInfo(newest)
        self.queue.put_back(queued, plugins, error=error)

    # ---- 5 to 7: binding

    async def _binding_cycle(
        self,
        framework: Framework,
        state: CycleState,
        queued: QueuedPod,
        node: str,
        waiting: WaitingPod | None,
        started: float,
    ) -> None:
        pod = queued.info
        if (telling := self._telling.get(pod.uid)) is not None:
            await telling.wait()
        if waiting is not None or framework.takes_time(state, pod, node):
            # Others, such as autoscalers, shall see where the pod will go before it is there.
            await self._tell_nomination(pod, node)
        rejected = await framework.wait_on_permit(waiting) if waiting is not None else None
        status = await self._bind(framework, state, pod, node) if rejected is None else _of_one_node(rejected)
        if status is not None:
            self._undo(framework, state, pod, node)
            await self._failed(framework, queued, status, started, had_place=True)
            return
        self.queue.done(pod.uid)
        self.queue.nominator.remove(pod)
        log.debug("bound %s to %s", pod.key, node)
        note = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
        framework.handle.record(pod.pod, "Normal", "Scheduled", "Binding", note)
        self._count(queued, "scheduled", time.perf_counter() - started)

    async def _bind(self, framework: Framework, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        try:
            return (
                None if await self._bound_by_extender(pod, node) else await framework.bind(state, pod, node)
            )
        except (StatusError, ExtenderError, ConnectionError, TimeoutError) as error:
            return Status(Code.ERROR, str(error) or type(error).__name__)

    async def _bound_by_extender(self, pod: PodInfo, node: str) -> bool:
        for extender in self._extenders:
            if not extender.binds(pod):
                continue
            try:
                await extender.bind(pod, node)
            except ExtenderError as error:
                if not extender.ignorable:
                    raise
                log.warning("extender %s skipped: %s", extender.name, error)
                continue
            return True
        return False

    def _undo(self, framework: Framework, state: CycleState, pod: PodInfo, node: str) -> None:
        framework.unreserve(state, pod, node)
        self.cache.forget(pod)

    async def _failed(
        self,
        framework: Framework,
        queued: QueuedPod,
        status: Status,
        started: float,
        *,
        had_place: bool = False,
    ) -> None:
        """Something went wrong, or Reserve, Permit or the binding cycle said no."""
        pod = queued.info
        error = status.code is Code.ERROR
        self._count(queued, "error" if error else "unschedulable", time.perf_counter() - started)
        log.info("%s could not be bound: %s", pod.key, status.reason)
        self._put_back(queued, set() if error else {status.plugin}, error=error)
        if had_place:  # others may like what it gives up; itself has had its turn
            self.queue.happened(POD_DELETED, pod.pod, None, but=pod.uid)
        framework.handle.record(
            pod.pod, "Warning", "FailedScheduling", "Scheduling", _shortened(status.reason)
        )
        await self._tell_condition(pod, "SchedulerError" if error else "Unschedulable", status.reason, "")

    async def _tell_condition(self, pod: PodInfo, reason: str, message: str, nominated: str | None) -> None:
        """Write PodScheduled=False, and the nominated node, if that is news. A binding waits for it.

        Otherwise it could arrive after the binding of the next attempt, and stay.
        """
        before = self._telling.get(pod.uid)
        self._telling[pod.uid] = told = asyncio.Event()
        try:
            if before is not None:
                await before.wait()
            await self._write_condition(pod, reason, message, nominated)
        finally:
            told.set()
            if self._telling.get(pod.uid) is told:
                del self._telling[pod.uid]

    async def _write_condition(self, pod: PodInfo, reason: str, message: str, nominated: str | None) -> None:
        newest = pod.pod if self._informer is None else self._informer.lister.get(pod.key)
        if newest is None:
            return
        patch: Object = {}
        known = condition(newest, POD_SCHEDULED) or {}
        wanted = observed(
            newest, {"type": POD_SCHEDULED, "status": "False", "reason": reason, "message": message}
        )
        if any(known.get(key) != value for key, value in wanted.items()):
            patch["conditions"] = self._with_condition(newest, wanted)
        status = newest.get("status") or {}
        if nominated is not None and nominated != (status.get("nominatedNodeName") or ""):
            patch["nominatedNodeName"] = nominated or None
        if patch:
            await self._patch_status(pod, patch)

    async def _tell_nomination(self, pod: PodInfo, node: str) -> None:
        """Write for which node the pod is meant, if that is news."""
        newest = pod.pod if self._informer is None else self._informer.lister.get(pod.key)
        if newest is not None and (newest.get("status") or {}).get("nominatedNodeName") != node:
            await self._patch_status(pod, {"nominatedNodeName": node})

    async def _patch_status(self, pod: PodInfo, patch: Object) -> None:
        # The uid makes sure that a namesake made meanwhile is left alone.
        body = {"metadata": {"uid": pod.uid}, "status": patch}
        try:
            await self._pods.patch(pod.name, body, pod.namespace, type="strategic", subresource="status")
        except NotFound:
            pass
        except (StatusError, ConnectionError, TimeoutError) as error:
            log.warning("status of %s not updated: %s", pod.key, error or type(error).__name__)

    def _with_condition(self, pod: Object, wanted: Object) -> list[Object]:
        found: list[Object] = (copy(pod).get("status") or {}).get("conditions") or []
        conditions.set_condition(found, wanted, self._clock.now())
        return found

    # ---- small things

    @functools.cache  # noqa: B019  as many entries as plugins and profiles, and one scheduler
    def _watch_refusals(self, plugin: str, profile: str) -> None:
        """From now on the gauge asks the queue how many pods wait because of this plugin."""
        count = functools.partial(self.queue.refused_by, plugin, profile)
        metrics.unschedulable_pods.labels(plugin, profile).set_function(count)

    def _needs_no_node(self, pod: PodInfo) -> bool:
        return pod.kind.deleting or self.cache.has(pod.uid)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a pod's way beside the loop; it holds the slot until it ends."""

        async def holding_slot() -> None:
            self._under_way.inc()
            try:
                await work
            finally:
                self._under_way.dec()
                self._slots.release()

        self.spawn(holding_slot())

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the loop; what goes wrong in it is logged."""

        async def guarded() -> None:
            try:
                await work
            except Exception:  # a failed binding must not end the loop
                log.exception("binding cycle failed")

        if self._tasks is None:
            raise RuntimeError("the scheduler is not running")
        self._tasks.create_task(guarded())

    def _count(self, queued: QueuedPod, result: str, seconds: float) -> None:
        profile = queued.info.scheduler_name
        children = self._counts.get((profile, result))
        if children is None:
            children = self._counts[profile, result] = (
                metrics.schedule_attempts.labels(profile, result),
                metrics.attempt_seconds.labels(profile, result),
            )
        children[0].inc()
        children[1].observe(seconds)
        if result == "scheduled":
            metrics.scheduling_attempts.observe(queued.attempts)
            waited = self._clock.monotonic() - queued.first_seen
            _sli_seconds("15+" if queued.attempts >= 15 else str(queued.attempts)).observe(waited)
            if queued.flushed:
                metrics.scheduled_after_flush.inc()


def _of_one_node(status: Status) -> Status:
    """A refusal that came after the node was chosen, worded as if there were no other node, as upstream does."""
    if status.code is Code.ERROR:
        return status
    return Status(status.code, f"0/1 nodes are available: 1 {status.reason}.", status.plugin)


def _shortened(message: str) -> str:
    """As much of it as fits into an event."""
    return message if len(message) <= LONGEST_NOTE else message[: LONGEST_NOTE - 4] + " ..."
