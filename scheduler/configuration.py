"""The `KubeSchedulerConfiguration` file: read, defaults filled in, checked.

Source: https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kubarium.apimachinery.object import Object, copy
from scheduler import configuration_checks as checks

API_VERSION = "kubescheduler.config.k8s.io/v1"
KIND = "KubeSchedulerConfiguration"

_CPU_AND_MEMORY = [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]

DEFAULTS: Object = {
    "parallelism": 16,
    "leaderElection": {
        "leaderElect": True,
        "leaseDuration": "15s",
        "renewDeadline": "10s",
        "retryPeriod": "2s",
        "resourceLock": "leases",
        "resourceName": "kube-scheduler",
        "resourceNamespace": "kube-system",
    },
    "clientConnection": {
        "kubeconfig": "",
        "acceptContentTypes": "",
        "contentType": "application/vnd.kubernetes.protobuf",
        "qps": 50,
        "burst": 100,
    },
    "enableProfiling": True,
    "enableContentionProfiling": True,
    "percentageOfNodesToScore": 0,
    "podInitialBackoffSeconds": 1,
    "podMaxBackoffSeconds": 10,
    "delayCacheUntilActive": False,
}

DEFAULT_ARGS: dict[str, Object] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": 10, "minCandidateNodesAbsolute": 100},
    "DynamicResources": {"filterTimeout": "10s", "bindingTimeout": "10m0s"},
    "InterPodAffinity": {"hardPodAffinityWeight": 1, "ignorePreferredTermsOfExistingPods": False},
    "NodeAffinity": {},
    "NodeResourcesBalancedAllocation": {"resources": _CPU_AND_MEMORY},
    "NodeResourcesFit": {"scoringStrategy": {"type": "LeastAllocated", "resources": _CPU_AND_MEMORY}},
    "PodTopologySpread": {"defaultingType": "System"},
    "VolumeBinding": {"bindTimeoutSeconds": 600},
}
"""The arguments of plugins that have any; what a file says of a plugin stands in their place."""


class ConfigurationError(ValueError):
    """The file cannot be used."""


@dataclass(frozen=True)
class ProfileConfig:
    """One entry of `profiles`."""

    scheduler_name: str = "default-scheduler"
    plugins: Object = field(default_factory=dict)
    plugin_args: dict[str, Object] = field(default_factory=lambda: copy(DEFAULT_ARGS))


@dataclass(frozen=True)
class Configuration:
    """What the configuration file says, with defaults for what it does not."""

    profiles: tuple[ProfileConfig, ...] = (ProfileConfig(),)
    extenders: tuple[Object, ...] = ()
    initial_backoff: float = 1.0  # seconds
    maximum_backoff: float = 10.0  # seconds
    parallelism: int = 32  # binding cycles at a time; upstream's 16 are threads for filtering
    document: Object = field(default_factory=lambda: completed({}))


def load(path: str) -> Object:
    """Read the file and check what it is."""
    document = yaml.safe_load(Path(path).read_text())
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ConfigurationError(f"{path}: couldn't decode as {KIND}")
    if document.get("apiVersion") != API_VERSION:
        raise ConfigurationError(
            f'{path}: no kind "{KIND}" is registered for version "{document.get("apiVersion")}", use {API_VERSION}'
        )
    unknown = checks.unknown_fields(document)
    if unknown:
        raise ConfigurationError(
            "strict decoding error: " + ", ".join(f'unknown field "{name}"' for name in unknown)
        )
    return document


def configuration_of(document: Object) -> Configuration:
    """A file's meaning. Raises ConfigurationError with all that is wrong."""
    whole = completed(document)
    problems = [str(problem) for problem in checks.problems_of(whole)]
    if problems:
        raise ConfigurationError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    return Configuration(
        profiles=tuple(_profile(entry) for entry in whole["profiles"]),
        extenders=tuple(whole.get("extenders") or ()),
        initial_backoff=float(whole["podInitialBackoffSeconds"]),
        maximum_backoff=float(whole["podMaxBackoffSeconds"]),
        document=whole,
    )


def completed(document: Object) -> Object:
    """The document with upstream's defaults."""
    whole = _over(copy(DEFAULTS), copy(document))
    profiles = whole.get("profiles") or [{}]
    whole["profiles"] = [_completed_profile(entry, len(profiles)) for entry in profiles]
    whole["extenders"] = [_completed_extender(entry) for entry in whole.get("extenders") or ()]
    return {"apiVersion": API_VERSION, "kind": KIND, **whole}


def _completed_profile(entry: Object, count: int) -> Object:
    given = {config["name"]: config.get("args") or {} for config in entry.get("pluginConfig") or ()}
    twice = [
        config for number, config in enumerate(entry.get("pluginConfig") or ()) if _is_again(entry, number)
    ]
    names = sorted({*given, *DEFAULT_ARGS})
    config = [{"name": name, "args": _arguments(name, given.get(name) or {})} for name in names]
    # Alone, a profile without a name is the default scheduler's; beside others it must say whose it is.
    name = entry.get("schedulerName") or ("default-scheduler" if count == 1 else "")
    return {**entry, "schedulerName": name, "pluginConfig": [*config, *twice]}


def _is_again(entry: Object, number: int) -> bool:
    configs = entry["pluginConfig"]
    return any(config["name"] == configs[number]["name"] for config in configs[:number])


def _arguments(name: str, given: Object) -> Object:
    found = copy(DEFAULT_ARGS.get(name) or {}) | given
    if name == "NodeResourcesFit" and given.get("scoringStrategy"):
        found["scoringStrategy"] = {"type": "", "resources": _CPU_AND_MEMORY} | given["scoringStrategy"]
        resources = found["scoringStrategy"]["resources"] or _CPU_AND_MEMORY
        found["scoringStrategy"]["resources"] = [
            {**one, "weight": one.get("weight") or 1} for one in resources
        ]
    if name == "NodeResourcesBalancedAllocation":
        found["resources"] = [
            {**one, "weight": one.get("weight") or 1} for one in found.get("resources") or ()
        ]
    return found


def _completed_extender(entry: Object) -> Object:
    return {"enableHTTPS": False, "httpTimeout": "5s", "nodeCacheCapable": False, "ignorable": False, **entry}


def _over(below: Object, above: Object) -> Object:
    """What is given stands over the default; objects are merged, explicit nothing is not given."""
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            below[key] = _over(below[key], value)
        elif value is not None:
            below[key] = value
    return below


def _profile(entry: Object) -> ProfileConfig:
    arguments: dict[str, Any] = {config["name"]: config["args"] for config in entry["pluginConfig"]}
    return ProfileConfig(entry["schedulerName"], entry.get("plugins") or {}, arguments)
