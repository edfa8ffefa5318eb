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
from kubarium.component_base.process_flags import (
    ELECTION,
    ClientFlags,
    LeaderElectionFlags,
    LoggingFlags,
    MetricsFlags,
    VersionFlags,
)
from kubarium.component_base.secure_serving import DEBUGGING, SECURE, SecureServing
from scheduler.configuration import Configuration, configuration_of, load

ELECTION_TIMES = {
    "leaseDuration": "leader_elect_lease_duration",
    "renewDeadline": "leader_elect_renew_deadline",
    "retryPeriod": "leader_elect_retry_period",
}


@dataclass(frozen=True)
class Options(LeaderElectionFlags, ClientFlags, SecureServing, MetricsFlags, VersionFlags, LoggingFlags):
    """The flags of kube-scheduler."""

    config: str = flag("", "The path to the configuration file.")
    secure_port: int = flag(
        10259, "The port on which to serve HTTPS. If 0, don't serve HTTPS at all.", group=SECURE
    )
    contention_profiling: bool = flag(True, "Accepted; there are no locks to profile.", group=DEBUGGING)
    leader_elect_resource_name: str = flag("kube-scheduler", "The name of the Lease.", group=ELECTION)
    journal: bool = flag(True, "Keep the last decisions and serve them at /debug/decisions/NAMESPACE/POD.")
    write_config_to: str = flag("", "If set, write the configuration values to this file and exit.")
    pod_max_in_unschedulable_pods_duration: Duration = flag(
        300.0, "How long a pod sleeps at most before it is tried again whatever happened."
    )


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
