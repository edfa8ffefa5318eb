"""The flags that programs of Kubernetes share: logs, metrics, versions, the way to the API server, leader election.

Options of a program inherit those groups that its upstream namesake has. Flags that ask for something that does not
exist here (files of logs, protobuf, locks to profile) are accepted and say so.
Source: https://kubernetes.io/docs/reference/command-line-tools-reference/
"""

from __future__ import annotations

from dataclasses import dataclass

from kubarium.component_base import features
from kubarium.component_base.options import Duration, flag

LOGS, METRICS, CLIENT, ELECTION = "Logs flags", "Metrics flags", "Client flags", "Leader election flags"
_UNBUFFERED = "Accepted; every line is written at once."
_ONE_STREAM = "Accepted; all lines go to standard error."


@dataclass(frozen=True)
class LoggingFlags:
    """How much is logged, and in which form."""

    logging_format: str = flag(
        "text",
        'Sets the log format. Permitted formats: "json", "text".',
        group=LOGS,
        choices=("json", "text"),
    )
    log_flush_frequency: Duration = flag(5.0, _UNBUFFERED, group=LOGS)
    log_json_info_buffer_size: str = flag("0", _UNBUFFERED, group=LOGS)
    log_json_split_stream: bool = flag(False, _ONE_STREAM, group=LOGS)
    log_text_info_buffer_size: str = flag("0", _UNBUFFERED, group=LOGS)
    log_text_split_stream: bool = flag(False, _ONE_STREAM, group=LOGS)
    verbosity: int = flag(0, "Number for the log level verbosity.", group=LOGS)
    vmodule: str = flag("", "Accepted; all modules log with the verbosity of -v.", group=LOGS)


@dataclass(frozen=True)
class LogFileFlags:
    """Files of logs, which upstream's kube-proxy has kept."""

    add_dir_header: bool = flag(False, _ONE_STREAM, group=LOGS)
    alsologtostderr: bool = flag(False, _ONE_STREAM, group=LOGS)
    log_backtrace_at: str = flag(":0", "Accepted; failures are logged with their stack.", group=LOGS)
    log_dir: str = flag("", _ONE_STREAM, group=LOGS)
    log_file: str = flag("", _ONE_STREAM, group=LOGS)
    log_file_max_size: int = flag(1800, _ONE_STREAM, group=LOGS)
    logtostderr: bool = flag(True, _ONE_STREAM, group=LOGS)
    one_output: bool = flag(False, _ONE_STREAM, group=LOGS)
    skip_headers: bool = flag(False, _ONE_STREAM, group=LOGS)
    skip_log_headers: bool = flag(False, _ONE_STREAM, group=LOGS)
    stderrthreshold: int = flag(2, _ONE_STREAM, group=LOGS)


@dataclass(frozen=True)
class MetricsFlags:
    """Which metrics are shown."""

    allow_metric_labels: tuple[str, ...] = flag(
        (), "Accepted; all values of labels are shown.", group=METRICS
    )
    allow_metric_labels_manifest: str = flag("", "Accepted, as --allow-metric-labels.", group=METRICS)
    disabled_metrics: tuple[str, ...] = flag((), "Accepted; all metrics are shown.", group=METRICS)
    show_hidden_metrics_for_version: str = flag("", "Accepted; no metric is hidden.", group=METRICS)


@dataclass(frozen=True)
class VersionFlags:
    """As which version the program behaves."""

    feature_gates: tuple[str, ...] = flag((), f"Pairs of component:name=value. {features.HELP}")
    emulated_version: tuple[str, ...] = flag((), "Accepted; no other version is emulated.")
    min_compatibility_version: tuple[str, ...] = flag((), "Accepted; no other version is emulated.")


@dataclass(frozen=True)
class ClientFlags:
    """Where the API server is, and how to speak to it."""

    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
    master: str = flag("", "The address of the API server; it overrides the one in the kubeconfig.")
    kube_api_qps: float = flag(
        50.0, "Accepted; the API server's fairness limits who asks too much.", group=CLIENT
    )
    kube_api_burst: int = flag(100, "Accepted, as --kube-api-qps.", group=CLIENT)
    kube_api_content_type: str = flag(
        "application/vnd.kubernetes.protobuf", "Accepted; JSON is spoken.", group=CLIENT
    )


@dataclass(frozen=True)
class LeaderElectionFlags:
    """One of several programs of a kind works; the others wait."""

    leader_elect: bool = flag(
        True, "Start a leader election client and gain leadership before doing anything else.", group=ELECTION
    )
    leader_elect_lease_duration: Duration = flag(
        15.0, "How long non-leader candidates wait after observing a renewal.", group=ELECTION
    )
    leader_elect_renew_deadline: Duration = flag(
        10.0, "How long the acting leader retries before it stops leading.", group=ELECTION
    )
    leader_elect_retry_period: Duration = flag(2.0, "How long clients wait between tries.", group=ELECTION)
    leader_elect_resource_lock: str = flag(
        "leases", "The type of resource object that is used for locking.", group=ELECTION, choices=("leases",)
    )
    leader_elect_resource_name: str = flag("", "The name of the lock resource.", group=ELECTION)
    leader_elect_resource_namespace: str = flag(
        "kube-system", "The namespace of the lock resource.", group=ELECTION
    )
