"""What controllers measure besides their work queues, in upstream's names."""

from __future__ import annotations

from kubarium.component_base.metrics import Counts, Readings, Timings

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
JOB_PODS_FINISHED = Counts(
    "job_controller_job_pods_finished_total",
    "The number of finished Pods that are fully tracked",
    ("completion_mode", "result"),
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
