"""All probes of all pods: a task per probe, the last results by container id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.resources import is_restartable_init
from kubarium.apimachinery.object import Object, name_of, namespace_of, uid_of
from kubarium.component_base import logging
from kubarium.component_base.clock import Clock
from kubelet import metrics
from kubelet.probes import actions
from kubelet.probes.actions import Answer
from kubelet.probes.worker import Subject, Worker
from kubelet.runtime import interface
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import Runtime
from kubelet.runtime.plan import Probed
from kubelet.runtime.state import PodState

log = logging.get(__name__)

LIVENESS, READINESS, STARTUP = "liveness", "readiness", "startup"
KINDS = {LIVENESS: "livenessProbe", READINESS: "readinessProbe", STARTUP: "startupProbe"}
INITIAL = {LIVENESS: None, READINESS: False, STARTUP: None}
RESULTS = {True: "successful", False: "failed", None: "unknown"}
TITLES = {LIVENESS: "Liveness", READINESS: "Readiness", STARTUP: "Startup"}


@dataclass(slots=True)
class _PodProbes:
    pod: Object
    subjects: dict[str, Subject] = field(default_factory=dict)  # by container name
    tasks: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)
    workers: dict[tuple[str, str], Worker] = field(default_factory=dict)
    counted: set[tuple[str, ...]] = field(default_factory=set)  # what the metrics show of it
    timed: set[tuple[str, ...]] = field(default_factory=set)


class ProbeManager:
    """Runs probes for the pods it is shown."""

    def __init__(
        self, runtime: Runtime, recorder: Recorder, clock: Clock, changed: Callable[[str], None]
    ) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._clock = clock
        self._changed = changed
        self._pods: dict[str, _PodProbes] = {}
        self._killed: set[str] = set()
        self.results: dict[str, dict[str, bool]] = {LIVENESS: {}, READINESS: {}, STARTUP: {}}

    def probed(self) -> Probed:
        """Results that decide about restarts."""
        return Probed(liveness=self.results[LIVENESS], startup=self.results[STARTUP])

    def observe(self, pod: Object, state: PodState) -> None:
        """Look at a pod's containers: start probes of new ones, forget those that ended."""
        uid = uid_of(pod)
        probes = self._pods.setdefault(uid, _PodProbes(pod))
        probes.pod = pod
        ip = state.ips[0] if state.ips else (pod.get("status") or {}).get("podIP") or ""
        if (pod.get("spec") or {}).get("hostNetwork"):
            ip = (pod.get("status") or {}).get("hostIP") or ip
        for container in pod_containers.all_containers(pod):
            if not any(container.get(key) for key in KINDS.values()):
                continue
            status = state.latest(container["name"])
            if status is None or status.state != interface.RUNNING:
                if (gone := probes.subjects.pop(container["name"], None)) is not None:
                    self._drop(gone.container_id)
                continue
            known = probes.subjects.get(container["name"])
            is_new = known is None or known.container_id != status.id
            if is_new and known is not None:
                self._drop(known.container_id)
            probes.subjects[container["name"]] = Subject(status.id, status.started_at / 1e9, ip)
            if is_new:
                self._restart_workers(probes, container, status.started_at / 1e9)

    def _restart_workers(self, probes: _PodProbes, container: Object, started_at: float) -> None:
        if pod_containers.is_init(probes.pod, container) and not is_restartable_init(container):
            return
        just_started = self._clock.now().timestamp() - started_at < 5
        for kind, key in KINDS.items():
            if not container.get(key):
                continue
            place = (container["name"], kind)
            if (old := probes.tasks.pop(place, None)) is not None:
                old.cancel()
            worker = probes.workers[place] = self._worker(probes, container, kind, container[key])
            probes.tasks[place] = asyncio.get_running_loop().create_task(
                self._supervise(worker, just_started), name=f"{kind} {container['name']} {uid_of(probes.pod)}"
            )

    async def _supervise(self, worker: Worker, just_started: bool) -> None:
        while True:
            try:
                await worker.run(just_started)
            except Exception:
                log.exception("a probe broke")
                await self._clock.sleep(worker.period)

    def _worker(self, probes: _PodProbes, container: Object, kind: str, spec: Object) -> Worker:
        name, uid = container["name"], uid_of(probes.pod)
        owner = (name_of(probes.pod), namespace_of(probes.pod), uid)

        def held_back(subject: Subject) -> bool:
            """Startup decides first; afterwards only the others count. What is being stopped is left in peace."""
            if subject.container_id in self._killed:
                return True
            started = (
                not container.get("startupProbe") or self.results[STARTUP].get(subject.container_id) is True
            )
            return started if kind == STARTUP else not started

        async def ask(subject: Subject) -> Answer:
            began = time.perf_counter()
            answer = await actions.probe(self._runtime, container, subject.container_id, subject.pod_ip, spec)
            timed = (TITLES[kind], name, *owner[:2])
            metrics.PROBE_SECONDS.labels(*timed).observe(time.perf_counter() - began)
            counted = (TITLES[kind], RESULTS[answer.healthy], name, *owner)
            metrics.PROBE_TOTAL.labels(*counted).inc()
            probes.counted.add(counted)
            probes.timed.add(timed)
            if answer.warning:
                tell("ProbeWarning", f"warning: {answer.warning}")
            return answer

        def report(container_id: str, healthy: bool) -> None:
            if self.results[kind].get(container_id) is not healthy:
                self.results[kind][container_id] = healthy
                if kind == STARTUP and healthy and (readiness := probes.workers.get((name, READINESS))):
                    readiness.poke()  # a started container is not unready for the rest of a long period
                self._changed(uid)

        def tell(reason: str, text: str) -> None:
            path = pod_containers.field_path_of(probes.pod, container)
            self._recorder.event(
                probes.pod, "Warning", reason, f"{TITLES[kind]} probe {text}", field_path=path
            )

        return Worker(
            spec,
            self._clock,
            initial=INITIAL[kind],
            subject=lambda: probes.subjects.get(name),
            held_back=held_back,
            ask=ask,
            report=report,
            unhealthy=lambda text: tell("Unhealthy", text),
        )

    def killed(self, container_id: str) -> None:
        """The container is being stopped: it is not ready any more, and liveness has said enough."""
        self._killed.add(container_id)
        if self.results[READINESS].get(container_id):
            self.results[READINESS][container_id] = False

    def stop_deciding(self, uid: str) -> None:
        """The pod is ending: liveness and startup have no say; readiness goes on until the end."""
        probes = self._pods.get(uid)
        if probes is None:
            return
        for (name, kind), task in list(probes.tasks.items()):
            if kind != READINESS:
                task.cancel()
                del probes.tasks[name, kind]

    def forget(self, uid: str) -> None:
        """The pod has ended."""
        probes = self._pods.pop(uid, None)
        if probes is None:
            return
        for task in probes.tasks.values():
            task.cancel()
        for subject in probes.subjects.values():
            self._drop(subject.container_id)
        for labels in probes.counted:
            metrics.PROBE_TOTAL.remove(*labels)
        for labels in probes.timed:
            metrics.PROBE_SECONDS.remove(*labels)

    async def close(self) -> None:
        """Stop all probes."""
        for uid in list(self._pods):
            self.forget(uid)

    def _drop(self, container_id: str) -> None:
        self._killed.discard(container_id)
        for results in self.results.values():
            results.pop(container_id, None)
