"""One task per pod: syncing -> terminating -> terminated. A pod never goes back.

    syncing       sync again whenever something happened, when a wait is over, and every minute
    terminating   stop it; a shorter grace period that arrives meanwhile takes effect at once
    terminated    clear up once; then nothing but remembering that it is done

The worker of a pod reads the newest version of the pod each time it begins a pass, so that events need carry nothing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, is_deleting, key_of, status_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.clock import Clock, sleep_unless
from kubelet import metrics
from kubelet.metrics import Working
from kubelet.runtime.interface import ContainerRuntimeError, StartError
from kubelet.sync_pod import NotReadyYet, PodSyncer
from kubelet.volumes.plugin import VolumeError

log = logging.get(__name__)

RESYNC = 60.0  # seconds
PACE = (
    0.01  # seconds between two new pods: of many, the first keep the runtime busy while others are prepared
)
RETRY = Backoff(initial=1.0, factor=2.0, maximum=10.0, jitter=0.2)

EXPECTED = (
    ContainerRuntimeError,
    StartError,
    VolumeError,
    NotReadyYet,
    errors.StatusError,
    OSError,
    TimeoutError,
)


class Phase(Enum):
    """Where a pod's worker is."""

    SYNCING = "syncing"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


@dataclass(slots=True)
class _Worker:
    """Touched by the sync loop (pod, grace, wake, changed) and by its own task (phase, finished)."""

    pod: Object
    phase: Phase = Phase.SYNCING
    grace: int | None = None
    asked_to_end: asyncio.Event = field(default_factory=asyncio.Event)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    is_asked: bool = False  # was it woken for more than that its containers have changed?
    changed: float = 0.0  # when it was last said that they have
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    seen: float = 0.0  # when it was first heard of
    is_starting: bool = False  # until the pod runs
    next: str = "create"  # what the next pass is for: create, update, sync
    task: asyncio.Task[None] | None = None


class PodWorkers:
    """All workers, by pod uid."""

    def __init__(
        self, syncer: PodSyncer, clock: Clock, on_finished: Callable[[Object], None], resync: float = RESYNC
    ) -> None:
        self._syncer = syncer
        self._clock = clock
        self._on_finished = on_finished
        self._resync = resync
        self._workers: dict[str, _Worker] = {}
        self._next_start = 0.0

    # -- asked by the sync loop ------------------------------------------------------------------------------------

    def sync(self, pod: Object, after: Sequence[str] = ()) -> None:
        """Look at this pod (again); it may be new, changed, or marked for deletion. `after` others have ended."""
        worker = self._workers.get(uid_of(pod))
        if worker is None:
            worker = self._start(pod, after)
        elif worker.next == "sync":
            worker.next = "update"
        worker.pod = pod
        if is_deleting(pod) or _has_ended(pod):
            self._end(worker, _deletion_grace(pod))
        self._wake(worker)

    def wake(self, pod_uid: str) -> None:
        """Something happened that the pod must be looked at for."""
        worker = self._workers.get(pod_uid)
        if worker is not None:
            self._wake(worker)

    def changed(self, pod_uid: str) -> None:
        """The runtime says something new of a pod: its worker looks, unless it has looked since."""
        worker = self._workers.get(pod_uid)
        if worker is not None:
            worker.changed = self._clock.monotonic()
            worker.wake.set()

    def terminate(self, pod: Object, grace: int | None = None) -> None:
        """The pod must end: removed from its source, evicted, or known to the runtime only."""
        worker = self._workers.get(uid_of(pod)) or self._start(pod)
        self._end(worker, grace)
        self._wake(worker)

    def forget(self, pod_uid: str) -> bool:
        """Drop a finished worker; False while it has not finished."""
        worker = self._workers.get(pod_uid)
        if worker is None:
            return True
        if not worker.finished.is_set():
            return False
        del self._workers[pod_uid]
        return True

    # -- questions -------------------------------------------------------------------------------------------------

    def knows(self, pod_uid: str) -> bool:
        """Is there a worker for this pod?"""
        return pod_uid in self._workers

    def has_finished(self, pod_uid: str) -> bool:
        """Has everything of the pod ended and been cleared up? True also for a pod that never began."""
        worker = self._workers.get(pod_uid)
        return worker is None or worker.finished.is_set()

    def may_run(self, pod_uid: str) -> bool:
        """May something of the pod still run?"""
        worker = self._workers.get(pod_uid)
        return worker is not None and worker.phase is not Phase.TERMINATED

    def is_ending(self, pod_uid: str) -> bool:
        """Has the pod been asked to end?"""
        worker = self._workers.get(pod_uid)
        return worker is not None and worker.asked_to_end.is_set()

    def has_namesake(self, mirror: Object) -> bool:
        """Is there still something of the static pod that is shown by this mirror?"""
        return bool(self._namesakes(mirror))

    def working(self, is_desired: Callable[[str], bool]) -> list[Working]:
        """Every pod that has a worker, as the metrics tell of it."""
        found = []
        for uid, worker in self._workers.items():
            lifecycle = "sync" if worker.phase is Phase.SYNCING else worker.phase.value
            static = "true" if is_static(worker.pod) else ""
            config = "desired" if is_desired(uid) else "orphan"
            if not pod_containers.containers_of(worker.pod):
                config, static = "runtime_only", "unknown"
            found.append(Working(lifecycle, config, static))
        return found

    def uids(self) -> list[str]:
        """Every pod that has a worker."""
        return list(self._workers)

    async def close(self) -> None:
        """Stop the workers; what runs goes on running."""
        tasks = [worker.task for worker in self._workers.values() if worker.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- a worker's life -------------------------------------------------------------------------------------------

    def _start(self, pod: Object, after: Sequence[str] = ()) -> _Worker:
        before = [self._workers[uid] for uid in after] + self._namesakes(pod)
        worker = self._workers[uid_of(pod)] = _Worker(
            pod, seen=self._clock.monotonic(), is_starting=not status_of(pod).get("containerStatuses")
        )
        metrics.CONTAINERS_PER_POD.observe((), len(pod_containers.containers_of(pod)))
        worker.task = asyncio.get_running_loop().create_task(
            self._run(worker, before), name=f"pod {logging.name(pod)}"
        )
        return worker

    def _namesakes(self, pod: Object) -> list[_Worker]:
        """What a static pod was before its file was edited: two of one name would be in each other's way."""
        return [
            worker
            for worker in self._workers.values()
            if is_static(pod)
            and is_static(worker.pod)
            and key_of(worker.pod) == key_of(pod)
            and not worker.finished.is_set()
        ]

    @staticmethod
    def _wake(worker: _Worker) -> None:
        worker.is_asked = True
        worker.wake.set()

    @staticmethod
    def _end(worker: _Worker, grace: int | None) -> None:
        if worker.grace is None or (grace is not None and grace < worker.grace):
            shortened = (
                grace is not None and worker.asked_to_end.is_set() and worker.phase is Phase.TERMINATING
            )
            worker.grace = grace
            if shortened:
                worker.wake.set()
        worker.asked_to_end.set()

    async def _run(self, worker: _Worker, after: Sequence[_Worker]) -> None:
        for other in after:
            await self._unless_ended(worker, other.finished.wait())
        await self._wait_for_turn()
        metrics.WORKER_START_SECONDS.observe((), self._clock.monotonic() - worker.seen)
        await self._repeat(worker, Phase.SYNCING, self._sync_once)
        await self._repeat(worker, Phase.TERMINATING, self._terminate_once)
        await self._repeat(worker, Phase.TERMINATED, self._clear_once)
        worker.finished.set()
        self._on_finished(worker.pod)

    async def _wait_for_turn(self) -> None:
        now = self._clock.monotonic()
        self._next_start = max(self._next_start + PACE, now)
        if self._next_start > now:
            await self._clock.sleep(self._next_start - now)

    async def _repeat(
        self, worker: _Worker, phase: Phase, once: Callable[[_Worker], Coroutine[Any, Any, float | None]]
    ) -> None:
        """Do one phase's pass until it says that the phase is over (None instead of a delay)."""
        worker.phase = phase
        failures = 0
        while True:
            worker.wake.clear()
            worker.is_asked = False
            began, work, worker.next = self._clock.monotonic(), worker.next, "sync"
            try:
                delay = await once(worker)
                failures = 0
            except EXPECTED as error:
                log.info("%s %s: %s", phase.value, logging.name(worker.pod), error)
                delay = RETRY.delay(failures)
                failures += 1
            except Exception:
                log.exception("%s %s failed", phase.value, logging.name(worker.pod))
                delay = RETRY.delay(failures)
                failures += 1
            work = work if phase is Phase.SYNCING else "kill"
            metrics.WORKER_SECONDS.observe((work,), self._clock.monotonic() - began)
            if delay is None:
                return
            await self._wait(worker, delay)

    async def _sync_once(self, worker: _Worker) -> float | None:
        if worker.asked_to_end.is_set():
            return None
        done = await self._unless_ended(worker, self._syncer.sync(worker.pod))
        if done is None or done.terminal:
            worker.asked_to_end.set()
            return None
        if done.running and worker.is_starting:
            metrics.POD_START_SECONDS.observe((), self._clock.monotonic() - worker.seen)
            worker.is_starting = False
        if done.settled is not None and worker.changed < done.settled and not worker.is_asked:
            worker.wake.clear()  # the pass has seen it
        if done.errors:
            return min(10.0, done.again_after or 10.0)
        return min(done.again_after or self._resync, self._resync) * random.uniform(1.0, 1.02)

    async def _terminate_once(self, worker: _Worker) -> float | None:
        """A wake-up while stopping means a shorter grace period: stop again with that one."""
        stopping = asyncio.ensure_future(self._syncer.terminate(worker.pod, worker.grace))
        grace = worker.grace
        try:
            while not stopping.done():
                woken = asyncio.ensure_future(worker.wake.wait())
                await asyncio.wait([stopping, woken], return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
                worker.wake.clear()
                if not stopping.done() and worker.grace != grace:
                    return 0.0
            await stopping
            return None
        finally:
            if not stopping.done():
                stopping.cancel()

    async def _clear_once(self, worker: _Worker) -> float | None:
        await self._syncer.clear(worker.pod)
        return None

    @staticmethod
    async def _unless_ended(worker: _Worker, work: Coroutine[Any, Any, Any]) -> Any:
        """Do the work, but let go of it when the pod is asked to end meanwhile."""
        doing = asyncio.ensure_future(work)
        ended = asyncio.ensure_future(worker.asked_to_end.wait())
        try:
            await asyncio.wait([doing, ended], return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            return None
        finally:
            ended.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.gather(doing, return_exceptions=True)

    async def _wait(self, worker: _Worker, delay: float) -> None:
        ends = [worker.asked_to_end] if worker.phase is Phase.SYNCING else []
        await sleep_unless(self._clock, delay, worker.wake, *ends)


def _deletion_grace(pod: Object) -> int | None:
    seconds = (pod.get("metadata") or {}).get("deletionGracePeriodSeconds")
    return None if seconds is None else int(seconds)


def _has_ended(pod: Object) -> bool:
    return status_of(pod).get("phase") in ("Succeeded", "Failed")
