"""One pass for one pod, in three functions: bring it up, take it down, clear up after it.

    sync         1 look  2 report  3 deadline  4 devices  5 network  6 cgroup  7 mirror  8 volumes  9 runtime
                 10 look and report again
    terminate    1 report  2 silence probes  3 stop everything  4 make sure  5 report the end
    clear        1 volumes  2 devices  3 cgroup  4 let the API object go

Each may be repeated at any time and does only what is still to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kubarium.api.core.pod import status as pod_status
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, is_deleting, spec_of, status_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet.devices.claims import NotPrepared
from kubelet.devices.devices import Devices
from kubelet.devices.manager import Unexpected
from kubelet.pods.manager import MirrorClient, PodManager
from kubelet.probes.manager import READINESS, STARTUP, ProbeManager
from kubelet.resources.allocation import Allocations
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.resizing import Resizes
from kubelet.runtime import plan
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import ContainerRuntimeError, rpc_text
from kubelet.runtime.manager import RuntimeManager
from kubelet.runtime.state import PodState
from kubelet.status import generate
from kubelet.status.manager import StatusManager
from kubelet.status.seen import Seen
from kubelet.volumes.manager import VolumeManager

log = logging.get(__name__)

AT_ONCE = 0.01  # seconds
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class NotReadyYet(Exception):
    """The pass could not be finished; it is tried again soon."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass found: is the pod done for good; is there something to come back for?

    `settled` is the moment of the look after which nothing was left to do: of what changed before it, the pass knows.
    """

    terminal: bool = False
    errors: tuple[str, ...] = ()
    again_after: float | None = None
    running: bool = False
    settled: float | None = None


class PodSyncer:
    """The three functions, and what they need."""

    def __init__(
        self,
        *,
        runtime: RuntimeManager,
        statuses: StatusManager,
        probes: ProbeManager,
        volumes: VolumeManager,
        cgroups: Cgroups,
        pods: PodManager,
        mirrors: MirrorClient,
        recorder: Recorder,
        clock: Clock,
        host_ips: Callable[[], Sequence[str]],
        network_complaint: Callable[[], str],
        runtime_name: Callable[[], str],
        allocations: Allocations,
        limits: Callable[[Object], Mapping[str, Mapping[str, Any]]],
        devices: Devices,
        recursive_read_only: Callable[[Object], bool] = lambda pod: False,
        on_resize: Callable[[], None] = lambda: None,
        seen: Callable[[PodState], None] = lambda state: None,
        runtime_knows: Callable[[str], bool] = lambda uid: True,
    ) -> None:
        self._runtime = runtime
        self._statuses = statuses
        self._probes = probes
        self._volumes = volumes
        self._cgroups = cgroups
        self._pods = pods
        self._mirrors = mirrors
        self._recorder = recorder
        self._clock = clock
        self._host_ips = host_ips
        self._network_complaint = network_complaint
        self._runtime_name = runtime_name
        self._allocations = allocations
        self._limits = limits
        self._devices = devices
        self._recursive_read_only = recursive_read_only
        self._on_resize = on_resize
        self._seen_settled = seen
        self._runtime_knows = runtime_knows
        self._resizes = Resizes(recorder)

    # -- up --------------------------------------------------------------------------------------------------------

    async def sync(self, pod: Object) -> Pass:
        """Make the runtime's containers those of the pod."""
        pod = self._statuses.with_status(pod)
        promised = self._allocations.allocate(pod)
        self._resizes.decided(pod, promised)
        if promised.resized:
            self._on_resize()
        pod = promised.pod
        looked = self._clock.monotonic()
        state = await self._look(pod)  # 1
        self._allocations.save()
        status = self._report(pod, state)  # 2
        if status["phase"] in (pod_status.SUCCEEDED, pod_status.FAILED):
            return Pass(terminal=True)
        deadline = self._deadline(pod)  # 3
        if deadline is not None and deadline <= 0:
            self._give_up(pod, state)
            return Pass(terminal=True)
        if not state.running() and not await self._give_devices(pod, state):  # 4
            return Pass(terminal=True)
        complaint = self._network_complaint()  # 5
        if complaint and not spec_of(pod).get("hostNetwork"):
            self._recorder.event(pod, "Warning", "NetworkNotReady", f"network is not ready: {complaint}")
            raise NotReadyYet(f"network is not ready: {complaint}")
        self._cgroups.create(pod)  # 6
        if is_static(pod):  # 7
            await self._mirrors.ensure(pod, self._pods.mirror_of(pod))
        await self._volumes.set_up(pod)  # 8
        pod = {**pod, "status": status}
        began = self._clock.monotonic()
        outcome = await self._runtime.sync(pod, state, self._probes.probed())  # 9
        self._resizes.tried(pod, outcome.resize_error, self._clock.monotonic() - began)
        left = plan.PodPlan()
        if outcome.acted or outcome.errors or outcome.retry_after is not None:
            looked = self._clock.monotonic()
            state = await self._look(pod)
            status = self._report(pod, state)  # 10
            left = plan.compute(pod, state, self._probes.probed(), self._limits(pod))
            if outcome.resized:
                self._cgroups.apply(pod)  # a lower limit takes effect once the containers are below it
        waits = [wait for wait in (outcome.retry_after, deadline) if wait is not None]
        settled = left.is_empty and not outcome.errors and outcome.retry_after is None
        if settled:
            self._seen_settled(state)
        elif left.starts and outcome.went_well:
            waits.append(AT_ONCE)
        terminal = status["phase"] in (pod_status.SUCCEEDED, pod_status.FAILED)
        running = status["phase"] == pod_status.RUNNING
        again = min(waits) if waits else None
        return Pass(terminal, outcome.errors, again, running, looked if settled else None)

    async def _give_devices(self, pod: Object, state: PodState) -> bool:
        """False when the pod cannot have what it was scheduled for: then it has failed."""
        try:
            await self._devices.allocate(pod)
        except Unexpected as error:
            self._recorder.event(pod, "Warning", error.reason, str(error))
            status = generate.generate(pod, self._seen(pod, state, False), self._clock.now())
            known = {**pod, "status": status}
            self._statuses.set(pod, generate.failed(known, error.reason, str(error), self._clock.now()))
            return False
        except NotPrepared as error:
            text = f"Failed to prepare dynamic resources: {error}"
            self._recorder.event(pod, "Warning", "FailedPrepareDynamicResources", text)
            raise NotReadyYet(text) from error
        return True

    def _is_new(self, pod: Object) -> bool:
        """Has no kubelet begun with it, and the runtime nothing of it? A static pod's uid may come again."""
        has_begun = status_of(pod).get("startTime") or is_static(pod)
        return not has_begun and not self._runtime_knows(uid_of(pod))

    async def _look(self, pod: Object) -> PodState:
        state = PodState(uid_of(pod)) if self._is_new(pod) else await self._runtime.state(uid_of(pod))
        self._probes.observe(pod, state)
        return state

    def _report(self, pod: Object, state: PodState, terminating: bool = False) -> Object:
        status = generate.generate(pod, self._seen(pod, state, terminating), self._clock.now())
        self._statuses.set(pod, status)
        return status

    def _seen(self, pod: Object, state: PodState, terminating: bool) -> Seen:
        uid = uid_of(pod)
        unsettled = [one["name"] for one, _, _ in plan.resizes(pod, state, self._limits(pod))]
        return Seen(
            state=state,
            reasons={name: error for (owner, name), error in self._runtime.reasons.items() if owner == uid},
            readiness=self._probes.results[READINESS],
            startup=self._probes.results[STARTUP],
            host_ips=self._host_ips(),
            runtime_name=self._runtime_name(),
            terminating=terminating,
            resize=self._resizes.conditions(pod, unsettled),
            recursive_read_only=self._recursive_read_only(pod),
            device_health=lambda name: self._devices.health(uid, name),
            unsettled=unsettled,
            restarting_all=not terminating and plan.restarts_all(pod, state) is not None,
            removed={name: run for (owner, name), run in self._runtime.removed.items() if owner == uid},
        )

    def _deadline(self, pod: Object) -> float | None:
        """Seconds that the pod may still be active; None when it has no deadline."""
        seconds, started = spec_of(pod).get("activeDeadlineSeconds"), status_of(pod).get("startTime")
        if seconds is None or not started:
            return None if seconds is None else float(seconds)
        elapsed = (self._clock.now() - time.parse_time(started)).total_seconds()
        return float(seconds) - elapsed

    def _give_up(self, pod: Object, state: PodState) -> None:
        self._recorder.event(pod, "Normal", "DeadlineExceeded", DEADLINE_MESSAGE)
        status = generate.generate(pod, self._seen(pod, state, False), self._clock.now())
        failed = generate.failed(
            {**pod, "status": status}, "DeadlineExceeded", DEADLINE_MESSAGE, self._clock.now()
        )
        self._statuses.set(pod, failed)

    # -- down ------------------------------------------------------------------------------------------------------

    async def terminate(self, pod: Object, grace: int | None) -> None:
        """Stop everything and wait until it has stopped. Raises when something still runs."""
        pod = self._statuses.with_status(pod)
        state = await self._runtime.state(uid_of(pod))
        if status_of(pod):
            self._report(pod, state)  # 1
        self._probes.stop_deciding(uid_of(pod))  # 2
        try:
            await self._runtime.kill_pod(pod, state, grace)  # 3
        except ContainerRuntimeError as error:
            text = f"error killing pod: {rpc_text(error)}"
            self._recorder.event(pod, "Warning", "FailedKillPod", text)
            raise
        state = await self._runtime.state(uid_of(pod))  # 4
        if state.is_running:
            raise NotReadyYet("containers of the pod still run")
        self._probes.forget(uid_of(pod))
        if self._statuses.get(uid_of(pod)) is not None or status_of(pod):
            self._report(self._statuses.with_status(pod), state, terminating=True)  # 5

    async def clear(self, pod: Object) -> None:
        """Nothing runs any more: give back what the pod had of the node."""
        self._statuses.look_again(uid_of(pod))  # now the final phase may be told
        await self._volumes.tear_down(uid_of(pod))  # 1
        try:
            await self._devices.release(uid_of(pod))  # 2
        except NotPrepared as error:
            raise NotReadyYet(str(error)) from error
        self._cgroups.remove(uid_of(pod))  # 3
        self._runtime.forget(uid_of(pod))
        self._allocations.forget(uid_of(pod))
        self._resizes.forget(uid_of(pod))
        self._statuses.look_again(uid_of(pod))  # 4
        if is_deleting(pod):
            log.info("pod %s has ended", logging.name(pod))
