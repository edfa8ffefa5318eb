"""The spine: every reason to look at a pod again arrives here, one at a time.

    API server, files ──▶ PodAdded, PodUpdated, PodReconciled, PodRemoved ──┐
    PLEG ─────────────▶ ContainerChanged ───────────────────────────────────┤
    probes ───────────▶ ProbeChanged ───────────────────────────────────────┼──▶ pod workers
    every 2 s ────────▶ Housekeeping ───────────────────────────────────────┘

Nothing here waits for a pod: the workers do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.static import is_mirror, is_static
from kubarium.apimachinery.object import Object, is_deleting, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubarium.component_base.options import format_duration
from kubelet import metrics
from kubelet.events import (
    ContainerChanged,
    Event,
    Finished,
    Housekeeping,
    PodAdded,
    PodReconciled,
    PodRemoved,
    PodUpdated,
    ProbeChanged,
)
from kubelet.pleg import PLEG
from kubelet.pod_workers import PodWorkers
from kubelet.pods import admission
from kubelet.pods.admission import Refusal
from kubelet.pods.manager import MirrorClient, PodManager
from kubelet.runtime.inputs import Recorder
from kubelet.status import generate
from kubelet.status.manager import StatusManager

log = logging.get(__name__)

HOUSEKEEPING_PERIOD = 2.0  # seconds
STANDSTILL = 60.0  # seconds


class SyncLoop:
    """Hands events to pods' workers and keeps the list of pods."""

    def __init__(
        self,
        *,
        pods: PodManager,
        workers: PodWorkers,
        statuses: StatusManager,
        mirrors: MirrorClient,
        pleg: PLEG,
        recorder: Recorder,
        clock: Clock,
        node: Callable[[], Object],
        sources_ready: Callable[[], bool],
        collect: Callable[[str], None],
        allowed_sysctls: Sequence[str],
        refuses: Callable[[Object], Refusal | None],
        make_room: Callable[[Object, Sequence[Object], Refusal], tuple[Refusal | None, Sequence[str]]],
        on_new: Callable[[Object], None],
        on_freed: Callable[[], None],
    ) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self._pods = pods
        self._workers = workers
        self._statuses = statuses
        self._mirrors = mirrors
        self._pleg = pleg
        self._recorder = recorder
        self._clock = clock
        self._node = node
        self._sources_ready = sources_ready
        self._collect = collect
        self._allowed_sysctls = allowed_sysctls
        self._refuses = refuses
        self._make_room = make_room
        self._on_new = on_new
        self._on_freed = on_freed
        self._suspects: set[str] = set()
        self._returning: set[str] = set()  # static pods that begin anew once they have ended
        self._chores: set[asyncio.Task[None]] = set()
        self.last_turn = clock.monotonic()

    async def run(self) -> None:
        """Take one event after another."""
        while True:
            event = await self.events.get()
            self.last_turn = self._clock.monotonic()
            try:
                self.handle(event)
            except Exception:
                log.exception("event %s not handled", type(event).__name__)

    async def tick(self) -> None:
        """Ask for housekeeping."""
        while True:
            await self._clock.sleep(HOUSEKEEPING_PERIOD)
            if self._sources_ready():
                # Asked here, so that it stands in the queue behind the pods that made the sources ready: a loop that
                # starts late (the API server was away) would otherwise keep house before it has seen its pods.
                self.events.put_nowait(Housekeeping())

    async def turns(self) -> None:
        """It gets an event every two seconds at least. Raises RuntimeError when it has stood still."""
        age = self._clock.monotonic() - self.last_turn
        if age > STANDSTILL:
            raise RuntimeError(f"sync Loop took longer than expected: {format_duration(age)}")

    def handle(self, event: Event) -> None:
        """One event."""
        self._tell(event)
        match event:
            case PodAdded(pod):
                self._add(pod)
            case PodUpdated(pod):
                self._update(pod)
            case PodReconciled(pod):
                self._reconcile(pod)
            case PodRemoved(pod):
                self._remove(pod)
            case ContainerChanged(uid):
                self._workers.changed(uid)
            case ProbeChanged(uid):
                self._workers.wake(uid)
            case Finished(pod):
                self._finished(pod)
            case Housekeeping():
                self._keep_house()

    def _tell(self, event: Event) -> None:
        if log.isEnabledFor(logging.at(2)) and not isinstance(event, Housekeeping):
            uid = getattr(event, "pod_uid", "")
            pod = self._pods.by_uid(uid) if uid else getattr(event, "pod", None)
            log.debug("%s: %s", type(event).__name__, logging.name(pod) if pod else uid)

    def _add(self, pod: Object) -> None:
        self._pods.remember(pod)
        if is_mirror(pod):
            self._wake_static(pod)
            return
        if is_static(pod) and self._workers.is_ending(uid_of(pod)):
            self._returning.add(uid_of(pod))  # its file went, and came back before it had ended
            return
        self._on_new(pod)
        leaving: Sequence[str] = ()
        if not pod_status.is_terminal(pod) and not is_deleting(pod):
            refusal, leaving = self._admit(pod)
            if refusal is not None:
                self._refuse(pod, refusal)
                return
        self._workers.sync(pod, leaving)

    def _update(self, pod: Object) -> None:
        self._pods.remember(pod)
        if is_mirror(pod):
            self._wake_static(pod)
        elif self._workers.knows(uid_of(pod)):
            self._workers.sync(pod)
            self._statuses.look_again(uid_of(pod))
        elif is_deleting(pod):
            # Refused at the door, and now deleted: nothing of it ever ran.
            self._statuses.set(pod, self._statuses.get(uid_of(pod)) or pod.get("status") or {})
            self._statuses.look_again(uid_of(pod))

    def _reconcile(self, pod: Object) -> None:
        self._pods.remember(pod)
        if is_mirror(pod):
            return
        if self._workers.knows(uid_of(pod)) and not self._workers.is_ending(uid_of(pod)) and _has_gates(pod):
            self._workers.sync(pod)
        if is_deleting(pod):
            self._statuses.look_again(uid_of(pod))

    def _remove(self, pod: Object) -> None:
        self._pods.forget(pod)
        if is_mirror(pod):
            self._wake_static(pod)
            return
        self._statuses.forget(uid_of(pod))
        if not self._workers.has_finished(uid_of(pod)):
            self._workers.terminate(pod)
        elif self._workers.forget(uid_of(pod)):
            self._collect(uid_of(pod))

    def _wake_static(self, mirror: Object) -> None:
        static = self._pods.static_of(mirror)
        if static is not None:
            self._statuses.send_again(uid_of(static))
            self._workers.wake(uid_of(static))

    def _admit(self, pod: Object) -> tuple[Refusal | None, Sequence[str]]:
        """Can this pod run here, and which others go for it?

        Of a pod that runs already (this kubelet was started again) the node's need of the moment is no reason: whoever
        must go for that is chosen by eviction.
        """
        others = [
            other for other in self._pods.all() if uid_of(other) != uid_of(pod) and self._is_active(other)
        ]
        pressing = None if self._is_running(pod) else self._refuses(pod)
        refusal = pressing or admission.refuse(pod, others, self._node(), self._allowed_sysctls)
        if refusal is None or not refusal.missing:
            return refusal, ()
        return self._make_room(pod, others, refusal)

    def _is_running(self, pod: Object) -> bool:
        return uid_of(pod) in self._pleg.running_pods()

    def _refuse(self, pod: Object, refusal: Refusal) -> None:
        """A pod that cannot run here becomes Failed."""
        log.info("pod %s refused: %s", logging.name(pod), refusal.message)
        metrics.REFUSED.add((refusal.reason,))
        self._recorder.event(pod, "Warning", refusal.reason, refusal.message)
        text = f"Pod was rejected: {refusal.message}"
        self._statuses.set(pod, generate.failed(pod, refusal.reason, text, self._clock.now()))
        if self._is_running(pod):
            self._workers.terminate(pod)

    def _is_active(self, pod: Object) -> bool:
        known = self._statuses.with_status(pod)
        return not pod_status.is_terminal(known) and self._workers.knows(uid_of(pod))

    def _finished(self, pod: Object) -> None:
        uid = uid_of(pod)
        returned = self._pods.by_uid(uid) if uid in self._returning else None
        self._returning.discard(uid)
        if returned is not None and self._workers.forget(uid):
            self._statuses.forget(uid)
            self._add(returned)
        elif self._pods.by_uid(uid) is None:
            if self._workers.forget(uid):
                self._statuses.forget(uid)
                self._collect(uid)
        else:
            self._statuses.look_again(uid)
        self._on_freed()

    def _keep_house(self) -> None:
        """End what the runtime has and nobody wants; delete mirrors of what is no more."""
        strangers = {
            uid
            for uid in self._pleg.running_pods()
            if uid and self._pods.by_uid(uid) is None and not self._workers.knows(uid)
        }
        suspects, self._suspects = self._suspects, strangers
        # Seen twice: the list of a moment ago may still show a pod that has just ended.
        for uid in strangers & suspects:
            if not self._workers.knows(uid):
                namespace, name = self._pleg.name_of(uid)
                log.info("pod %s/%s (%s) runs and is not wanted", namespace, name, uid)
                metrics.STRANGERS.add()
                self._workers.terminate(_stranger(uid, namespace, name), 1)
        for mirror in self._pods.orphaned_mirrors():
            if not self._workers.has_namesake(mirror):
                self._do(self._mirrors.delete(mirror))
        for uid in self._workers.uids():
            if self._pods.by_uid(uid) is None and self._workers.forget(uid):
                self._collect(uid)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)


def _stranger(uid: str, namespace: str, name: str) -> Object:
    """A pod of which only the runtime tells."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"uid": uid, "namespace": namespace, "name": name},
        "spec": {"containers": []},
    }


def _has_gates(pod: Object) -> bool:
    return bool((pod.get("spec") or {}).get("readinessGates"))
