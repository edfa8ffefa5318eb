"""The life of one simulated pod: what its containers have done by a given moment. Pure: no clock, no I/O.

    advance      1 ends that are due   2 the sandbox   3 init containers, one by one   4 containers
    stop         each container ends when it has had time to, at the latest when its grace is over

Both are told the time, change the `Life` and return the seconds after which they would change it again. They may be
called at any time and as often as one likes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery import time
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, status_of, uid_of
from kubarium.component_base.backoff import Backoff
from kubarium.component_base.options import format_duration
from kubelet.runtime import interface
from kubelet.runtime.interface import ContainerStatus, Sandbox, StartError
from kubelet.runtime.state import PodState, newest_first
from kubelet.simulated.behaviour import Behaviour, Registry

RUNTIME_NAME = "simulated"
RESTARTS = Backoff(initial=10.0, factor=2.0, maximum=300.0)
PULLS = Backoff(initial=10.0, factor=2.0, maximum=300.0)
SHORTEST = 1.0  # seconds between two starts of a container that ends at once
FIRST_LOOK = 2.0  # seconds for which a failed pull shows as ErrImagePull before it shows as back-off


@dataclass(slots=True)
class _Pull:
    """An image that could not be had."""

    image: str
    failures: int
    failed_at: float


@dataclass(slots=True)
class Life:
    """What is remembered of a pod. Times are seconds since the epoch."""

    uid: str
    ips: tuple[str, ...]  # what its sandbox gets; none for a pod on the node's own network
    bound_at: float
    sandbox: Sandbox | None = None
    runs: dict[str, list[ContainerStatus]] = field(default_factory=dict)  # newest first, two at most
    reasons: dict[str, StartError] = field(default_factory=dict)  # why a container does not run
    asked_at: float | None = None  # when its containers were asked to end
    _pulls: dict[str, _Pull] = field(default_factory=dict)

    @property
    def state(self) -> PodState:
        """What a runtime would say of the pod."""
        sandboxes = (self.sandbox,) if self.sandbox is not None else ()
        return PodState(self.uid, sandboxes, newest_first(run for runs in self.runs.values() for run in runs))

    @property
    def has_ended(self) -> bool:
        """Does nothing of it run any more?"""
        return not any(True for _ in self._running())

    def advance(self, pod: Object, behaviour: Behaviour, registry: Registry, now: float) -> float | None:
        """Bring the pod up, restart what has ended; None when there is nothing to come back for."""
        waits: list[float] = []
        self._end_what_is_due(pod, behaviour, now, waits)  # 1
        if self.sandbox is None:  # 2
            if now < self.bound_at + behaviour.start:
                return self.bound_at + behaviour.start - now
            self.sandbox = _sandbox(pod, self.ips, now)
        if self._bring_up_init(pod, behaviour, registry, now, waits):  # 3
            for container in pod_containers.containers_of(pod):  # 4
                self._keep_running(pod, container, behaviour, registry, now, waits)
        return min(waits, default=None)

    def stop(self, pod: Object, behaviour: Behaviour, grace: float, now: float) -> float | None:
        """End everything that runs, politely."""
        if self.asked_at is None:
            self.asked_at = now
        self.reasons.clear()
        due = self.asked_at + min(behaviour.stop, grace)
        if now < due:
            return due - now
        code = 137 if behaviour.stop > grace else 143
        for run in list(self._running()):
            self._end(run, due, code)
        if self.sandbox is not None:
            self.sandbox = dataclasses.replace(self.sandbox, state=interface.NOT_READY)
        return None

    def readiness(self, pod: Object, now: float) -> tuple[dict[str, bool], float | None]:
        """Container id -> is it ready; and when that will change. A probe succeeds as soon as it is asked."""
        found, waits = {}, []
        for container in pod_containers.all_containers(pod):
            probes = [container[kind] for kind in ("startupProbe", "readinessProbe") if container.get(kind)]
            newest = self._newest(container["name"])
            if not probes or newest is None:
                continue
            delay = max(probe.get("initialDelaySeconds") or 0 for probe in probes)
            left = newest.started_at / 1e9 + delay - now
            found[newest.id] = left <= 0
            if left > 0:
                waits.append(left)
        return found, min(waits, default=None)

    # -- one container ---------------------------------------------------------------------------------------------

    def _bring_up_init(
        self, pod: Object, behaviour: Behaviour, registry: Registry, now: float, waits: list[float]
    ) -> bool:
        """Are all init containers through?"""
        for container in pod_containers.init_containers_of(pod):
            self._keep_running(pod, container, behaviour, registry, now, waits)
            newest = self._newest(container["name"])
            if newest is None:
                return False
            if is_restartable_init(container):
                if newest.state != interface.RUNNING:
                    return False
            elif newest.state != interface.EXITED or newest.exit_code != 0:
                return False
        return True

    def _keep_running(
        self,
        pod: Object,
        container: Object,
        behaviour: Behaviour,
        registry: Registry,
        now: float,
        waits: list[float],
    ) -> None:
        name, image = container["name"], container.get("image") or ""
        newest = self._newest(name)
        if newest is not None and newest.state == interface.RUNNING:
            if newest.image == image:
                return
            self._end(newest, now, 0)  # the image was changed: it runs again with the new one
        elif newest is not None:
            if not pod_containers.should_restart(pod, container, newest.exit_code):
                return
            left = newest.finished_at / 1e9 + self._restart_delay(newest) - now
            if left > 0:
                self.reasons[name] = _crash_loop(pod, container, self._restart_delay(newest))
                waits.append(left)
                return
        if not self._has_image(container, registry, now, waits):
            return
        self.reasons.pop(name, None)
        self._start(container, now)
        self._end_what_is_due(pod, behaviour, now, waits)
        newest = self._newest(name)
        if newest is not None and newest.state == interface.EXITED:
            waits.append(self._restart_delay(newest) or SHORTEST)  # it ended at once; perhaps it runs again

    def _restart_delay(self, ended: ContainerStatus) -> float:
        return 0.0 if ended.attempt == 0 else RESTARTS.delay(ended.attempt - 1)

    def _has_image(self, container: Object, registry: Registry, now: float, waits: list[float]) -> bool:
        name, image = container["name"], container.get("image") or ""
        if registry.has(image):
            self._pulls.pop(name, None)
            return True
        if container.get("imagePullPolicy") == "Never":
            text = f'Container image "{image}" is not present with pull policy of Never'
            self.reasons[name] = StartError("ErrImageNeverPull", text)
            return False
        pull = self._pulls.get(name)
        if pull is None or pull.image != image:
            pull = self._pulls[name] = _Pull(image, 0, now)
        elif now >= pull.failed_at + PULLS.delay(pull.failures):
            pull.failures, pull.failed_at = pull.failures + 1, now
        error = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": not found'
        if now < pull.failed_at + FIRST_LOOK:
            self.reasons[name] = StartError("ErrImagePull", error)
            waits.append(pull.failed_at + FIRST_LOOK - now)
        else:
            text = f'Back-off pulling image "{image}": ErrImagePull: {error}'
            self.reasons[name] = StartError("ImagePullBackOff", text)
            waits.append(pull.failed_at + PULLS.delay(pull.failures) - now)
        return False

    def _start(self, container: Object, now: float) -> None:
        name, image = container["name"], container.get("image") or ""
        earlier = self.runs.get(name, [])
        attempt = earlier[0].attempt + 1 if earlier else 0
        moment = int(now * 1e9)
        run = ContainerStatus(
            id=new_id(),
            name=name,
            attempt=attempt,
            state=interface.RUNNING,
            created_at=moment,
            started_at=moment,
            finished_at=0,
            exit_code=0,
            image=image,
            image_ref=image,
            reason="",
            message="",
            labels={},
            annotations={},
        )
        self.runs[name] = [run, *earlier[:1]]

    def _end_what_is_due(self, pod: Object, behaviour: Behaviour, now: float, waits: list[float]) -> None:
        for run in list(self._running()):
            seconds, code = _plan_of(pod, run.name, behaviour)
            if seconds is None:
                continue
            due = run.started_at / 1e9 + seconds
            if due <= now:
                self._end(run, due, code)
            else:
                waits.append(due - now)

    def _end(self, run: ContainerStatus, moment: float, code: int) -> None:
        runs = self.runs[run.name]
        ended = dataclasses.replace(
            run,
            state=interface.EXITED,
            finished_at=int(moment * 1e9),
            exit_code=code,
            reason="Completed" if code == 0 else "Error",
        )
        runs[runs.index(run)] = ended

    def _newest(self, name: str) -> ContainerStatus | None:
        runs = self.runs.get(name)
        return runs[0] if runs else None

    def _running(self) -> Iterator[ContainerStatus]:
        for runs in self.runs.values():
            if runs[0].state == interface.RUNNING:
                yield runs[0]


def restored(pod: Object, ips: tuple[str, ...], now: float) -> Life:
    """A pod whose life another process began: its containers go on where its status says they are."""
    life = Life(uid_of(pod), ips, now)
    status = status_of(pod)
    for table in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(table) or []:
            run = _run_of(one)
            if run is not None:
                life.runs[run.name] = [run]
    if life.runs:
        life.sandbox = _sandbox(pod, ips, now)
    return life


def _run_of(status: Object) -> ContainerStatus | None:
    state = status.get("state") or {}
    running = state.get("running")
    seen: Object | None = running or state.get("terminated")
    if not status.get("containerID") or not seen:
        return None
    return ContainerStatus(
        id=str(status["containerID"]).rpartition("/")[2],
        name=status["name"],
        attempt=status.get("restartCount") or 0,
        state=interface.RUNNING if running else interface.EXITED,
        created_at=_nanoseconds(seen.get("startedAt")),
        started_at=_nanoseconds(seen.get("startedAt")),
        finished_at=_nanoseconds(seen.get("finishedAt")),
        exit_code=seen.get("exitCode") or 0,
        image=status.get("image") or "",
        image_ref=status.get("imageID") or "",
        reason=seen.get("reason") or "",
        message=seen.get("message") or "",
        labels={},
        annotations={},
    )


def _nanoseconds(text: str | None) -> int:
    return int(time.parse_time(text).timestamp() * 1e9) if text else 0


def _plan_of(pod: Object, name: str, behaviour: Behaviour) -> tuple[float | None, int]:
    """How long a container runs by itself, and with what it ends."""
    for container in pod_containers.init_containers_of(pod):
        if container["name"] == name:
            return (None if is_restartable_init(container) else behaviour.init), 0
    return behaviour.run, behaviour.exit_code


def _sandbox(pod: Object, ips: tuple[str, ...], now: float) -> Sandbox:
    return Sandbox(
        id=new_id(),
        name=name_of(pod),
        namespace=namespace_of(pod),
        pod_uid=uid_of(pod),
        attempt=0,
        state=interface.READY,
        created_at=int(now * 1e9),
        ips=() if spec_of(pod).get("hostNetwork") else ips,
    )


def _crash_loop(pod: Object, container: Object, delay: float) -> StartError:
    where = f"{name_of(pod)}_{namespace_of(pod)}({uid_of(pod)})"
    return StartError(
        "CrashLoopBackOff",
        f"back-off {format_duration(round(delay))} restarting failed container={container['name']} pod={where}",
    )


def new_id() -> str:
    """An id such as runtimes give."""
    return os.urandom(32).hex()
