"""What the scheduler measures, under upstream's names.

Source: https://kubernetes.io/docs/reference/instrumentation/metrics/
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from kubarium.component_base.metrics import Readings


def _doubling(first: float, count: int) -> list[float]:
    return [first * 2**power for power in range(count)]


schedule_attempts = Counter(
    "scheduler_schedule_attempts",
    "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while "
    "'error' means an internal scheduler problem.",
    ["profile", "result"],
)
attempt_seconds = Histogram(
    "scheduler_scheduling_attempt_duration_seconds",
    "Scheduling attempt latency in seconds (scheduling algorithm + binding).",
    ["profile", "result"],
    buckets=_doubling(0.001, 15),
)
algorithm_seconds = Histogram(
    "scheduler_scheduling_algorithm_duration_seconds",
    "Scheduling algorithm latency in seconds.",
    buckets=_doubling(0.001, 15),
)
sli_seconds = Histogram(
    "scheduler_pod_scheduling_sli_duration_seconds",
    "E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and might involve "
    "multiple scheduling attempts.",
    ["attempts"],
    buckets=_doubling(0.01, 20),
)
scheduling_attempts = Histogram(
    "scheduler_pod_scheduling_attempts",
    "Number of attempts to successfully schedule a pod.",
    buckets=[1, 2, 4, 8, 16],
)
scheduled_after_flush = Counter(
    "scheduler_pod_scheduled_after_flush",
    "Number of pods that were successfully scheduled after being flushed from unschedulablePods due to timeout. This "
    "metric helps detect potential queueing hint misconfigurations or event handling issues.",
)
extension_point_seconds = Histogram(
    "scheduler_framework_extension_point_duration_seconds",
    "Latency for running all plugins of a specific extension point.",
    ["extension_point", "profile", "status"],
    buckets=_doubling(0.0001, 12),
)
plugin_seconds = Histogram(
    "scheduler_plugin_execution_duration_seconds",
    "Duration for running a plugin at a specific extension point.",
    ["extension_point", "plugin", "status"],
    buckets=[0.00001 * 1.5**power for power in range(20)],
)
hint_seconds = Histogram(
    "scheduler_queueing_hint_execution_duration_seconds",
    "Duration for running a queueing hint function of a plugin.",
    ["event", "hint", "plugin"],
    buckets=[0.00001 * 1.5**power for power in range(20)],
)
event_seconds = Histogram(
    "scheduler_event_handling_duration_seconds",
    "Event handling latency in seconds.",
    ["event"],
    buckets=_doubling(0.0001, 12),
)
inflight_events = Readings(
    "scheduler_inflight_events", "Number of events currently tracked in the scheduling queue.", ("event",)
)
pending_pods = Gauge(
    "scheduler_pending_pods",
    "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of "
    "pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to "
    "schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule "
    "because they are gated.",
    ["queue"],
)
incoming_pods = Counter(
    "scheduler_queue_incoming_pods",
    "Number of pods added to scheduling queues by event and queue type.",
    ["event", "queue"],
)
unschedulable_pods = Gauge(
    "scheduler_unschedulable_pods",
    "The number of unschedulable pods broken down by plugin name. A pod will increment the gauge for all plugins that "
    "caused it to not schedule and so this metric have meaning only when broken down by plugin.",
    ["plugin", "profile"],
)
preemption_attempts = Counter(
    "scheduler_preemption_attempts", "Total preemption attempts in the cluster till now."
)
preemption_victims = Histogram(
    "scheduler_preemption_victims",
    "Number of selected preemption victims.",
    buckets=[1, 2, 4, 8, 16, 32, 64],
)
preemption_goroutines_seconds = Histogram(
    "scheduler_preemption_goroutines_duration_seconds",
    "Duration in seconds for running goroutines for the preemption.",
    ["result"],
    buckets=_doubling(0.01, 20),
)
preemption_goroutines = Counter(
    "scheduler_preemption_goroutines_execution",
    "Number of preemption goroutines executed.",
    ["result"],
)
permit_wait_seconds = Histogram(
    "scheduler_permit_wait_duration_seconds",
    "Duration of waiting on permit.",
    ["result"],
    buckets=_doubling(0.001, 15),
)
goroutines = Gauge(
    "scheduler_goroutines",
    "Number of running goroutines split by the work they do such as binding.",
    ["operation"],
)
claim_creations = Counter(
    "scheduler_resourceclaim_creates",
    "Number of ResourceClaims creation requests within scheduler",
    ["status"],
)
cache_size = Gauge(
    "scheduler_cache_size",
    "Number of nodes, pods, and assumed (bound) pods in the scheduler cache.",
    ["type"],
)


@functools.cache
def hint_taken(plugin: str, event: str, helpful: bool) -> Histogram:
    """Where the time of a hint belongs."""
    return hint_seconds.labels(event, "Queue" if helpful else "QueueSkip", plugin)


@functools.cache
def _event_taken(event: str) -> Histogram:
    return event_seconds.labels(event)


def event_handled(event: str, since: float) -> None:
    """A change of the cluster has found its way into cache and queue."""
    _event_taken(event).observe(time.perf_counter() - since)


class Evaluations(Collector):
    """How often plugins were asked: too often for counters of the library, so that frameworks keep plain numbers."""

    frameworks: list[Any]

    def __init__(self) -> None:
        self.frameworks = []

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The numbers of all profiles."""
        family = CounterMetricFamily(
            "scheduler_plugin_evaluation",
            "Number of attempts to schedule pods by each plugin and the extension point (available only in PreFilter, "
            "Filter, PreScore, and Score).",
            labels=["extension_point", "plugin", "profile"],
        )
        for framework in self.frameworks:
            for (point, plugin), number in framework.evaluations.items():
                family.add_metric([point, plugin, framework.name], number)
        yield family


evaluations = Evaluations()
REGISTRY.register(evaluations)
