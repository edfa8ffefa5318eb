"""What controllers measure besides their work queues, in upstream's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from kubarium.apimachinery.object import ObjectKey
from kubarium.component_base.metrics import Counts, Labels, Readings, Timings

JOB_SYNCS = Counts(
    "job_controller_job_syncs_total",
    "The number of job syncs",
    ("completion_mode", "result", "action"),
)
JOB_SYNC_SECONDS = Timings(
    "job_controller_job_sync_duration_seconds",
    "The time it took to sync a job",
    ("completion_mode", "result", "action"),
    [0.004 * 2**power for power in range(15)],
)
JOBS_FINISHED = Counts(
    "job_controller_jobs_finished_total",
    "The number of finished jobs",
    ("completion_mode", "result", "reason"),
)
AUTOSCALER_RECONCILIATIONS = Counts(
    "horizontal_pod_autoscaler_controller_reconciliations_total",
    "Number of reconciliations of HPA controller. The label 'action' should be either 'scale_down', 'scale_up', or "
    "'none'. Also, the label 'error' should be either 'spec', 'internal', or 'none'. Note that if both spec and "
    "internal errors happen during a reconciliation, the first one to occur is reported in `error` label.",
    ("action", "error"),
)
AUTOSCALER_SECONDS = Timings(
    "horizontal_pod_autoscaler_controller_reconciliation_duration_seconds",
    "The time(seconds) that the HPA controller takes to reconcile once. The label 'action' should be either "
    "'scale_down', 'scale_up', or 'none'. Also, the label 'error' should be either 'spec', 'internal', or 'none'. Note "
    "that if both spec and internal errors happen during a reconciliation, the first one to occur is reported in "
    "`error` label.",
    ("action", "error"),
    [0.001 * 2**power for power in range(15)],
)
_COMPUTED = (
    "The label 'action' should be either 'scale_down', 'scale_up', or 'none'. {}he label 'error' should be either "
    "'spec', 'internal', or 'none'. The label 'metric_type' corresponds to HPA.spec.metrics[*].type"
)
METRIC_COMPUTATIONS = Counts(
    "horizontal_pod_autoscaler_controller_metric_computation_total",
    "Number of metric computations. " + _COMPUTED.format("Also, t"),
    ("action", "error", "metric_type"),
)
METRIC_SECONDS = Timings(
    "horizontal_pod_autoscaler_controller_metric_computation_duration_seconds",
    "The time(seconds) that the HPA controller takes to calculate one metric. " + _COMPUTED.format("T"),
    ("action", "error", "metric_type"),
    [0.001 * 2**power for power in range(15)],
)
JOB_PODS_FINISHED = Counts(
    "job_controller_job_pods_finished_total",
    "The number of finished Pods that are fully tracked",
    ("completion_mode", "result"),
)
JOB_FAILURES_HANDLED = Counts(
    "job_controller_pod_failures_handled_by_failure_policy_total",
    "The number of failed Pods handled by failure policy with respect to the failure policy action applied based on "
    "the matched rule. Possible values of the action label correspond to the possible values for the failure policy "
    'rule action, which are: "FailJob", "Ignore" and "Count".',
    ("action",),
)
JOB_PODS_HELD = Counts(
    "job_controller_terminated_pods_tracking_finalizer_total",
    "The number of terminated pods (phase=Failed|Succeeded) that have the finalizer batch.kubernetes.io/job-tracking. "
    'The event label can be "add" or "delete".',
    ("event",),
)
CRON_JOB_SKEW = Timings(
    "cronjob_controller_job_creation_skew_duration_seconds",
    "Time between when a cronjob is scheduled to be run, and when the corresponding job is created",
    (),
    [2.0**power for power in range(10)],
)
NODE_EVICTIONS = Counts(
    "node_collector_evictions_total",
    "Number of Node evictions that happened since current instance of NodeController started.",
    ("zone",),
)
SELINUX_CONFLICTS = Readings(
    "selinux_warning_controller_selinux_volume_conflict",
    "Conflict between two Pods using the same volume",
    ("property", "pod1_namespace", "pod1_name", "pod1_value", "pod2_namespace", "pod2_name", "pod2_value"),
)

# ------------------------------------------------------------------------------------------------ EndpointSlices

_CHANGES = [2.0**power for power in range(1, 16)]
ENDPOINTS_ADDED = Timings(
    "endpoint_slice_controller_endpoints_added_per_sync",
    "Number of endpoints added on each Service sync",
    (),
    _CHANGES,
)
ENDPOINTS_REMOVED = Timings(
    "endpoint_slice_controller_endpoints_removed_per_sync",
    "Number of endpoints removed on each Service sync",
    (),
    _CHANGES,
)
ENDPOINTS = Readings("endpoint_slice_controller_endpoints_desired", "Number of endpoints desired", ())
SLICES = Readings("endpoint_slice_controller_num_endpoint_slices", "Number of EndpointSlices", ())
DESIRED = Readings(
    "endpoint_slice_controller_desired_endpoint_slices",
    "Number of EndpointSlices that would exist with perfect endpoint allocation",
    (),
)
DISTRIBUTIONS = Readings(
    "endpoint_slice_controller_services_count_by_traffic_distribution",
    "Number of Services using some specific trafficDistribution",
    ("traffic_distribution",),
)


@dataclass(frozen=True, slots=True)
class SliceCount:
    """Of one Service."""

    endpoints: int
    slices: int
    desired: int
    distribution: str


class SliceFigures:
    """Of all Services."""

    def __init__(self) -> None:
        self._of: dict[ObjectKey, SliceCount] = {}
        ENDPOINTS.read = self._sum(lambda one: one.endpoints)
        SLICES.read = self._sum(lambda one: one.slices)
        DESIRED.read = self._sum(lambda one: one.desired)
        DISTRIBUTIONS.read = self._distributions

    def note(self, service: ObjectKey, figures: SliceCount) -> None:
        """A Service has been synced."""
        self._of[service] = figures

    def forget(self, service: ObjectKey) -> None:
        """It is gone, or no longer ours."""
        self._of.pop(service, None)

    def _sum(self, of: Callable[[SliceCount], int]) -> Callable[[], list[tuple[Labels, float]]]:
        return lambda: [((), float(sum(of(one) for one in self._of.values())))]

    def _distributions(self) -> list[tuple[Labels, float]]:
        found = Counter(one.distribution for one in self._of.values() if one.distribution)
        return [((name,), float(count)) for name, count in found.items()]
