"""Flags, over what the configuration file says."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from kubarium.apimachinery.object import Object, copy
from kubarium.component_base.options import Duration, flag, format_duration, parse, parse_duration
from kubarium.component_base.secure_serving import SECURE, SecureServing
from scheduler.configuration import Configuration, configuration_of, load

ELECTION = "Leader election flags"
ELECTION_TIMES = {
    "leaseDuration": "leader_elect_lease_duration",
    "renewDeadline": "leader_elect_renew_deadline",
    "retryPeriod": "leader_elect_retry_period",
}


@dataclass(frozen=True)
class Options(SecureServing):
    """The flags of kube-scheduler."""

    config: str = flag("", "The path to the configuration file.")
    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
    secure_port: int = flag(
        10259, "The port on which to serve HTTPS. If 0, don't serve HTTPS at all.", group=SECURE
    )
    leader_elect: bool = flag(True, "Gain leadership before doing anything else.", group=ELECTION)
    leader_elect_lease_duration: Duration = flag(
        15.0, "How long others wait before they take over.", group=ELECTION
    )
    leader_elect_renew_deadline: Duration = flag(10.0, "How long the leader tries to renew.", group=ELECTION)
    leader_elect_retry_period: Duration = flag(2.0, "How long to wait between tries.", group=ELECTION)
    leader_elect_resource_name: str = flag("kube-scheduler", "The name of the Lease.", group=ELECTION)
    leader_elect_resource_namespace: str = flag("kube-system", "Its namespace.", group=ELECTION)
    journal: bool = flag(True, "Keep the last decisions and serve them at /debug/decisions/NAMESPACE/POD.")
    write_config_to: str = flag("", "If set, write the configuration values to this file and exit.")
    feature_gates: tuple[str, ...] = flag((), "Accepted; every feature that is on by default is on.")
    master: str = flag("", "Accepted; the address of the API server stands in the kubeconfig.")
    kube_api_qps: float = flag(50.0, "Accepted; the API server's fairness limits who asks too much.")
    kube_api_burst: int = flag(100, "Accepted, as --kube-api-qps.")
    kube_api_content_type: str = flag("application/vnd.kubernetes.protobuf", "Accepted; JSON is spoken.")
    contention_profiling: bool = flag(True, "Accepted; there are no locks to profile.")
    show_hidden_metrics_for_version: str = flag("", "Accepted; no metric is hidden.")
    pod_max_in_unschedulable_pods_duration: Duration = flag(
        300.0, "How long a pod sleeps at most before it is tried again whatever happened."
    )
    verbosity: int = flag(0, "Number for the log level verbosity.")


def read(argv: Sequence[str]) -> tuple[Options, Configuration]:
    """Flags and configuration file together; a flag wins over the file."""
    flags = parse(Options, argv, program="kube-scheduler")
    if not flags.config:
        return flags, Configuration()
    document = load(flags.config)
    defaults = Options(**_flags_in(document))
    return parse(Options, argv, program="kube-scheduler", defaults=defaults), configuration_of(document)


def _flags_in(document: Object) -> Object:
    """Those settings of the file that are flags as well."""
    election = document.get("leaderElection") or {}
    found = {
        "kubeconfig": (document.get("clientConnection") or {}).get("kubeconfig"),
        "leader_elect": election.get("leaderElect"),
        "leader_elect_resource_name": election.get("resourceName"),
        "leader_elect_resource_namespace": election.get("resourceNamespace"),
    }
    for key, name in ELECTION_TIMES.items():
        if key in election:
            found[name] = parse_duration(election[key])
    return {key: value for key, value in found.items() if value is not None}


def document_of(options: Options, configuration: Configuration) -> Object:
    """The configuration in force, as `/configz` shows it."""
    found = copy(configuration.document)
    found["clientConnection"]["kubeconfig"] = options.kubeconfig
    election = found["leaderElection"]
    election["leaderElect"] = options.leader_elect
    election["resourceName"] = options.leader_elect_resource_name
    election["resourceNamespace"] = options.leader_elect_resource_namespace
    for key, name in ELECTION_TIMES.items():
        election[key] = format_duration(getattr(options, name))
    return found


def write(options: Options, configuration: Configuration) -> None:
    """Write the configuration in force to the file that the flag names."""
    text = yaml.safe_dump(document_of(options, configuration), sort_keys=False)
    Path(options.write_config_to).write_text(text)


def new_identity() -> str:
    """What this process calls itself in the leader election."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"
