"""What watches over the node while pods come and go.

allocatable    all pods together keep to what is not reserved
eviction       under pressure somebody must go, and for a critical pod without room
shutdown       before the machine ends, pods end
images         unused images make room
log rotation   logs do not grow without end
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from kubarium.api.core.pod import status as pod_status
from kubarium.apimachinery import quantity, time
from kubarium.apimachinery.object import Object, generation_of, uid_of
from kubarium.component_base.clock import Clock
from kubarium.component_base.process import Process
from kubelet import metrics
from kubelet.images.garbage import ImageGarbage
from kubelet.node import shutdown
from kubelet.node.shutdown import Announcer, ShutdownManager
from kubelet.node.status import NodeFacts
from kubelet.options import Options
from kubelet.pod_workers import PodWorkers
from kubelet.pods.admission import Refusal
from kubelet.pods.inputs import log_directory
from kubelet.pods.leftovers import Leftovers
from kubelet.resources import preemption, ranking, thresholds
from kubelet.resources.allocatable import Allocatable, Reserved
from kubelet.resources.cgroups import Cgroups
from kubelet.resources.eviction import EvictionManager, Policy
from kubelet.resources.signals import Signals
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import Runtime
from kubelet.runtime.log_rotation import LogRotation
from kubelet.status import generate
from kubelet.status.manager import StatusManager
from kubelet.volumes.manager import VolumeManager


class Guardians:
    """All of them, and what a new pod hears from them at the door."""

    def __init__(
        self,
        options: Options,
        facts: NodeFacts,
        runtime: Runtime,
        recorder: Recorder,
        clock: Clock,
        *,
        announcer: Announcer | None,
        cgroups: Cgroups,
        volumes: VolumeManager,
        leftovers: Leftovers,
        workers: PodWorkers,
        statuses: StatusManager,
        pods: Callable[[], list[Object]],
        node: Callable[[], Object],
        changed: Callable[[], None],
        image_removed: Callable[[str], None],
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._workers = workers
        self._statuses = statuses
        self._pods = pods
        self._node = node
        self.images = ImageGarbage(
            runtime,
            recorder,
            clock,
            node,
            high_percent=options.image_gc_high_threshold,
            low_percent=options.image_gc_low_threshold,
            minimum_age=options.minimum_image_ttl_duration,
            maximum_age=options.image_maximum_gc_age,
            removed=image_removed,
            mounted=volumes.images,
        )
        self.allocatable = Allocatable(
            cgroups,
            clock,
            cpus=facts.machine.cpus,
            memory=facts.machine.memory,
            reserved=facts.reserved,
            enforced="pods" in options.enforce_node_allocatable,
            others=reserved_cgroups(options),
            pods=self._active_pods,
            tell=self._tell,
        )
        self.eviction = EvictionManager(
            runtime,
            recorder,
            clock,
            policy=eviction_policy(options),
            signals=Signals(Path(options.root_dir), cgroups, facts.machine.memory, self.allocatable.memory),
            node=node,
            pods=pods,
            directory=volumes.pod_directory,
            logs=lambda pod: log_directory(Path(options.pod_logs_dir), pod),
            processes=cgroups.processes,
            free_containers=leftovers.free_disk,
            free_images=self.images.free_all,
            fail=self._end,
            has_finished=workers.has_finished,
            changed=changed,
            local_limits=options.local_storage_capacity_isolation,
        )
        self.shutdown = ShutdownManager(
            announcer,
            clock,
            periods=shutdown.periods_of(
                options.shutdown_grace_period,
                options.shutdown_grace_period_critical_pods,
                options.shutdown_grace_period_by_pod_priority,
            ),
            root=Path(options.root_dir),
            pods=self._active_pods,
            end=self._end,
            # Once the machine is off nobody could tell any more how its pods have ended.
            has_ended=lambda uid: workers.has_finished(uid) and statuses.is_told(uid),
            tell=self._tell,
            changed=changed,
        )
        self.log_rotation = LogRotation(
            runtime,
            clock,
            max_bytes=quantity.value(options.container_log_max_size),
            max_files=options.container_log_max_files,
            period=options.container_log_monitor_interval,
        )

    def start(self, process: Process) -> None:
        """One task each."""
        process.start("allocatable", self.allocatable.run())
        process.start("eviction", self.eviction.run())
        process.start("shutdown", self.shutdown.run())
        process.start("image garbage", self.images.run())
        process.start("log rotation", self.log_rotation.run())

    def refuse(self, pod: Object) -> Refusal | None:
        """What the node's present state says against a new pod."""
        if self.shutdown.is_ending:
            return Refusal(shutdown.REFUSED_REASON, shutdown.REFUSED_MESSAGE)
        text = ranking.refuses(pod, self.eviction.pressure())
        return Refusal("Evicted", text) if text else None

    def make_room(
        self, pod: Object, others: Sequence[Object], refusal: Refusal
    ) -> tuple[Refusal | None, Sequence[str]]:
        """For a critical pod others end; the answer is why not, or whose end it must wait for."""
        if not ranking.is_critical(pod):
            return refusal, ()
        try:
            leaving = preemption.choose(pod, others, refusal.missing)
        except preemption.NobodyToPreempt as error:
            text = f"Unexpected error while attempting to recover from admission failure: {error}"
            return Refusal("UnexpectedAdmissionError", text), ()
        for other in leaving:
            self._recorder.event(other, "Warning", preemption.REASON, preemption.MESSAGE)
            metrics.PREEMPTIONS.add((next(iter(refusal.missing)),))
            self._end(other, preemption.REASON, preemption.MESSAGE, None, preemption.CONDITION_MESSAGE)
        return None, [uid_of(other) for other in leaving]

    def _active_pods(self) -> list[Object]:
        return [pod for pod in self._pods() if not pod_status.is_terminal(pod)]

    def _tell(self, type: str, reason: str, message: str) -> None:
        self._recorder.event(self._node(), type, reason, message)

    def _end(
        self, pod: Object, reason: str, message: str, grace: int | None, because: str | None = None
    ) -> None:
        """The node's own needs end this pod: it has failed."""
        status = generate.failed(self._statuses.with_status(pod), reason, message, self._clock.now())
        condition = _disruption(pod, because or message, self._clock.now())
        status["conditions"] = [
            *(one for one in status["conditions"] if one["type"] != condition["type"]),
            condition,
        ]
        self._statuses.set(pod, status)
        self._workers.terminate(pod, grace)


def _disruption(pod: Object, message: str, now: datetime) -> Object:
    """The condition by which others see that the pod did not end by itself."""
    condition: Object = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "TerminationByKubelet",
        "message": message,
        "lastTransitionTime": time.format_time(now),
    }
    return {**condition, "observedGeneration": generation_of(pod)} if generation_of(pod) else condition


def eviction_policy(options: Options) -> Policy:
    """When and how pods are evicted, as configured."""
    return Policy(
        thresholds.read(
            options.eviction_thresholds,
            dict(text.split("<", 1) for text in options.eviction_soft),
            options.eviction_soft_grace_period,
            options.eviction_minimum_reclaim,
        ),
        options.eviction_pressure_transition_period,
        options.eviction_max_pod_grace_period,
    )


def reserved_cgroups(options: Options) -> list[Reserved]:
    """Cgroups of others that are held to what is reserved for them."""
    found = [
        Reserved("System", options.system_reserved_cgroup, options.system_reserved),
        Reserved("Kube", options.kube_reserved_cgroup, options.kube_reserved),
    ]
    kept, enforced = [], options.enforce_node_allocatable
    for one in found:
        if f"{one.kind.lower()}-reserved" in enforced:
            kept.append(one)
        elif f"{one.kind.lower()}-reserved-compressible" in enforced:  # who gets less of it is only slower
            kept.append(Reserved(one.kind, one.cgroup, {k: v for k, v in one.amounts.items() if k == "cpu"}))
    return kept
