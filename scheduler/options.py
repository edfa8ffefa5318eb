"""Flags, and the `KubeSchedulerConfiguration` file.

Source: https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kubarium.apimachinery.object import Object
from kubarium.component_base.options import Duration, flag, parse, parse_duration

API_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"


ELECTION = "Leader election flags"
ELECTION_TIMES = {
    "leaseDuration": "leader_elect_lease_duration",
    "renewDeadline": "leader_elect_renew_deadline",
    "retryPeriod": "leader_elect_retry_period",
}


@dataclass(frozen=True)
class Options:
    """The flags of kube-scheduler."""

    config: str = flag("", "The path to the configuration file.")
    kubeconfig: str = flag("", "Path to kubeconfig file with authorization and master location information.")
    authentication_kubeconfig: str = flag("", "kubeconfig for delegated authentication.")
    authorization_kubeconfig: str = flag("", "kubeconfig for delegated authorization.")
    bind_address: str = flag("0.0.0.0", "The IP address on which to listen for the --secure-port port.")
    secure_port: int = flag(10259, "The port on which to serve HTTPS. If 0, don't serve HTTPS at all.")
    tls_cert_file: str = flag("", "File containing the certificate for HTTPS; self-signed if empty.")
    tls_private_key_file: str = flag("", "File containing the private key that matches --tls-cert-file.")
    client_ca_file: str = flag("", "Client certificates signed by one of these authorities are accepted.")
    cert_dir: str = flag("", "Where the self-signed certificate is kept; a temporary directory if empty.")
    leader_elect: bool = flag(True, "Gain leadership before doing anything else.", group=ELECTION)
    leader_elect_lease_duration: Duration = flag(
        15.0, "How long others wait before they take over.", group=ELECTION
    )
    leader_elect_renew_deadline: Duration = flag(10.0, "How long the leader tries to renew.", group=ELECTION)
    leader_elect_retry_period: Duration = flag(2.0, "How long to wait between tries.", group=ELECTION)
    leader_elect_resource_name: str = flag("kube-scheduler", "The name of the Lease.", group=ELECTION)
    leader_elect_resource_namespace: str = flag("kube-system", "Its namespace.", group=ELECTION)
    journal: bool = flag(True, "Keep the last decisions and serve them at /debug/decisions/NAMESPACE/POD.")
    verbosity: int = flag(0, "Number for the log level verbosity.")


@dataclass(frozen=True)
class ProfileConfig:
    """One entry of `profiles`."""

    scheduler_name: str = "default-scheduler"
    plugins: Object = field(default_factory=dict)
    plugin_args: dict[str, Object] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """What the configuration file says."""

    profiles: tuple[ProfileConfig, ...] = (ProfileConfig(),)
    extenders: tuple[Object, ...] = ()
    initial_backoff: float = 1.0  # seconds
    maximum_backoff: float = 10.0  # seconds
    parallelism: int = 32  # binding cycles at a time; upstream's 16 are threads for filtering


class ConfigurationError(ValueError):
    """The file cannot be used."""


def read(argv: Sequence[str]) -> tuple[Options, Configuration]:
    """Flags and configuration file together; a flag wins over the file."""
    flags = parse(Options, argv, program="kube-scheduler")
    if not flags.config:
        return flags, Configuration()
    document = load(flags.config)
    defaults = Options(**_flags_in(document))
    return parse(Options, argv, program="kube-scheduler", defaults=defaults), configuration_of(document)


def load(path: str) -> Object:
    """Read the file and check what it is."""
    document = yaml.safe_load(Path(path).read_text())
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ConfigurationError(f"{path}: couldn't decode as {KIND}")
    if document.get("apiVersion") != API_VERSION:
        raise ConfigurationError(
            f'{path}: no kind "{KIND}" is registered for version "{document.get("apiVersion")}", use {API_VERSION}'
        )
    return document


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


def configuration_of(document: Object) -> Configuration:
    """The rest of the file."""
    profiles = tuple(_profile(entry) for entry in document.get("profiles") or [{}])
    names = [profile.scheduler_name for profile in profiles]
    if len(set(names)) != len(names):
        raise ConfigurationError("profiles: schedulerName must be unique")
    return Configuration(
        profiles=profiles,
        extenders=tuple(document.get("extenders") or ()),
        initial_backoff=float(document.get("podInitialBackoffSeconds") or 1),
        maximum_backoff=float(document.get("podMaxBackoffSeconds") or 10),
    )


def _profile(entry: Object) -> ProfileConfig:
    arguments = {config["name"]: config.get("args") or {} for config in entry.get("pluginConfig") or ()}
    return ProfileConfig(
        entry.get("schedulerName") or "default-scheduler", entry.get("plugins") or {}, arguments
    )


def new_identity() -> str:
    """What this process calls itself in the leader election."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"
