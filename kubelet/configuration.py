"""The `KubeletConfiguration` file: read into options, shown on `/configz`, checked with upstream's words.

Files of `--config-dir` change what the file says, and a flag wins over both. Unknown fields are told in the log and
left out, as upstream's lenient decoding does.
Source: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from kubarium.api.core import taints
from kubarium.apimachinery.patch.merge_patch import merge_into
from kubarium.component_base import features, logging
from kubarium.component_base.options import Duration, format_duration, parse, parse_duration
from kubarium.component_base.process_flags import LoggingFlags
from kubelet import configuration_checks
from kubelet.accepted_flags import AcceptedFlags
from kubelet.options import FILE_ONLY, Options

log = logging.get(__name__)

KIND, VERSION = "KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"
HEAD = {"kind": KIND, "apiVersion": VERSION}

# Names in the file that are not the flag's name in camel case. A dotted name lies in an object of the file.
FILE_NAMES = {
    "authentication.anonymous.enabled": "anonymous_auth",
    "authentication.webhook.enabled": "authentication_token_webhook",
    "authentication.x509.clientCAFile": "client_ca_file",
    "authorization.mode": "authorization_mode",
    "cgroupsPerQOS": "cgroups_per_qos",
    "clusterDNS": "cluster_dns",
    "cpuCFSQuota": "cpu_cfs_quota",
    "cpuCFSQuotaPeriod": "cpu_cfs_quota_period",
    "crashLoopBackOff.maxContainerRestartPeriod": "max_container_restart_period",
    "eventRecordQPS": "event_qps",
    "failCgroupV1": "fail_cgroup_v1",
    "imageGCHighThresholdPercent": "image_gc_high_threshold",
    "imageGCLowThresholdPercent": "image_gc_low_threshold",
    "imageMaximumGCAge": "image_maximum_gc_age",
    "imageMinimumGCAge": "minimum_image_ttl_duration",
    "kubeAPIBurst": "kube_api_burst",
    "kubeAPIQPS": "kube_api_qps",
    "logging.format": "logging_format",
    "logging.verbosity": "verbosity",
    "makeIPTablesUtilChains": "make_iptables_util_chains",
    "memorySwap.swapBehavior": "swap_behavior",
    "podPidsLimit": "pod_max_pids",
    "providerID": "provider_id",
    "registryPullQPS": "registry_qps",
    "reservedSystemCPUs": "reserved_cpus",
    "resolvConf": "resolv_conf",
    "serverTLSBootstrap": "server_tls_bootstrap",
    "singleProcessOOMKill": "single_process_oom_kill",
    "staticPodPath": "pod_manifest_path",
    "tlsCertFile": "tls_cert_file",
    "tlsPrivateKeyFile": "tls_private_key_file",
}
NOT_IN_FILE = frozenset(
    (
        *(field.name for field in dataclasses.fields(AcceptedFlags)),
        *(field.name for field in dataclasses.fields(LoggingFlags) if field.name not in FILE_NAMES.values()),
        "bootstrap_kubeconfig",
        "cert_dir",
        "cloud_provider",
        "config",
        "config_dir",
        "hostname_override",
        "image_credential_provider_bin_dir",
        "image_credential_provider_config",
        "kubeconfig",
        "node_ip",
        "node_labels",
        "root_dir",
    )
)
ACCEPTED = frozenset(  # what the file may say and what makes no difference here
    (
        "apiVersion",
        "kind",
        "authentication.webhook.cacheTTL",
        "authorization.webhook",
        "configMapAndSecretChangeDetectionStrategy",
        "containerLogMaxWorkers",
        "contentType",
        "cpuManagerPolicyOptions",
        "cpuManagerReconcilePeriod",
        "draManagerReconcilePeriod",
        "enableContentionProfiling",
        "enableControllerAttachDetach",
        "enableDebugFlagsHandler",
        "enableProfilingHandler",
        "httpCheckFrequency",
        "imageServiceEndpoint",
        "iptablesDropBit",
        "iptablesMasqueradeBit",
        "kernelMemcgNotification",
        "kubeletCgroups",
        "lockFilePath",
        "logging",
        "memoryReservationPolicy",
        "memoryThrottlingFactor",
        "podCIDR",
        "protectKernelDefaults",
        "qosReserved",
        "reservedMemory",
        "showHiddenMetricsForVersion",
        "staticPodURLHeader",
        "streamingConnectionIdleTimeout",
        "systemCgroups",
        "tlsCurvePreferences",
        "topologyManagerPolicyOptions",
        "tracing",
        "userNamespaces",
        "volumePluginDir",
        "volumeStatsAggPeriod",
    )
)
NOTHING_ELSE = {  # would ask for what does not exist here: only the value that asks for nothing is taken
    "cpuManagerPolicy": ("", "none"),
    "enableSystemLogQuery": (False,),
    "memoryManagerPolicy": ("", "None"),
    "runOnce": (False,),
    "staticPodURL": ("",),
}
# Zero of all others means their default, as where a program has written the whole structure (kubeadm does).
ZERO_COUNTS = frozenset(
    (
        "container_log_max_files",
        "container_log_max_workers",
        "container_log_monitor_interval",
        "event_qps",
        "healthz_port",
        "image_gc_high_threshold",
        "image_gc_low_threshold",
        "kube_api_qps",
        "node_status_max_images",
        "oom_score_adj",
        "pod_max_pids",
        "registry_qps",
        "resolv_conf",
    )
)
# Upstream takes settings from the file, and its flags of the same meaning only still.
_IN_THE_FILE = (
    "This parameter should be set via the config file specified by the Kubelet's --config flag. See "
    "https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/ for more information."
)
_ONLY_FLAGS = (
    "config_dir", "exit_on_lock_contention", "lock_file", "provider_id", "runtime_cgroups", "seccomp_default",
    "verbosity",
)  # fmt: skip
_EVICTION_INSTEAD = "Use --eviction-hard or --eviction-soft instead. Will be removed in a future version."
DEPRECATED = {
    **{
        field.name: _IN_THE_FILE
        for field in dataclasses.fields(Options)
        if field.metadata["group"] != FILE_ONLY
        and field.name not in _ONLY_FLAGS
        and (field.name not in NOT_IN_FILE or field.name in AcceptedFlags.__dataclass_fields__)
    },
    "maximum_dead_containers": _EVICTION_INSTEAD,
    "maximum_dead_containers_per_container": _EVICTION_INSTEAD,
    "minimum_container_ttl_duration": _EVICTION_INSTEAD,
}
THRESHOLDS = ("eviction_hard", "eviction_soft")
FIELDS = {field.name: field for field in dataclasses.fields(Options)}


class Invalid(ValueError):
    """The configuration cannot be used; the text has one line for each reason."""


def read(argv: Sequence[str]) -> Options:
    """Flags over drop-in files over the file over defaults. Raises Invalid."""
    options = parse(Options, argv, program="kubelet", deprecated=DEPRECATED)
    if options.config or options.config_dir:
        try:
            document = _loaded(Path(options.config)) if options.config else dict(HEAD)
        except ValueError as error:
            raise Invalid(
                f"failed to load kubelet config file, path: {options.config}, error: failed to load Kubelet config "
                f"file {options.config}, error {error}"
            ) from error
        filed = from_file(_with_drop_ins(document, options.config_dir))
        gates = {**filed.feature_gates, **options.feature_gates}
        options = parse(Options, argv, program="kubelet", defaults=filed)
        options = dataclasses.replace(options, feature_gates=gates)
        try:
            features.note(gates)
        except features.GateError as error:
            text = f"failed to set feature gates from initial flags-based config: {error}"
            raise Invalid(text) from error
    problems = configuration_checks.complaints(options)
    if problems:
        raise Invalid(
            "failed to validate kubelet configuration, error: "
            + (problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
            + f", path: {options.config or '(flags)'}"
        )
    if problem := configuration_checks.unknown_tls(options):
        raise Invalid(f"failed to construct kubelet dependencies: {problem}")
    return options


def _loaded(file: Path) -> dict[str, Any]:
    """A file that says what it is. Raises ValueError."""
    try:
        document = yaml.safe_load(file.read_text())
    except OSError as error:
        text = f'failed to read kubelet config file "{file}", error: open {file}: {(error.strerror or "").lower()}'
        raise ValueError(text) from error
    except yaml.YAMLError as error:
        raise ValueError(f"failed to decode: {error}") from error
    if not document:
        raise ValueError(f'kubelet config file "{file}" was empty')
    if not isinstance(document, dict) or not document.get("kind"):
        raise ValueError(f"failed to decode: Object 'Kind' is missing in '{orjson.dumps(document).decode()}'")
    kind, version = document["kind"], document.get("apiVersion") or ""
    if (kind, version) != (KIND, VERSION):
        raise ValueError(
            f'failed to decode: no kind "{kind}" is registered for version "{version}" in scheme'
        )
    return document


def _with_drop_ins(document: dict[str, Any], directory: str) -> dict[str, Any]:
    """Every `*.conf` below the directory changes what came before it, as a merge patch. Raises Invalid."""
    if not directory:
        return document
    failed = (
        f'failed to merge kubelet configs: failed to walk through kubelet dropin directory "{directory}": '
    )
    if not Path(directory).is_dir():
        raise Invalid(f"{failed}lstat {directory}: no such file or directory")
    # Thresholds are defaults that can be changed one by one.
    document.setdefault("evictionHard", dict(text.split("<", 1) for text in Options().eviction_hard))
    for file in sorted(Path(directory).rglob("*.conf")):
        if file.is_dir():
            continue
        try:
            document = merge_into(document, _loaded(file))
        except ValueError as error:
            raise Invalid(
                f"{failed}failed to load kubelet dropin file, path: {file}, error: failed to load drop-in kubelet "
                f"config file {file}, error {error}"
            ) from error
    return document


def from_file(document: Mapping[str, Any]) -> Options:
    """A `KubeletConfiguration` as options. Raises Invalid for what is asked for and does not exist here."""
    values: dict[str, Any] = {}
    for path, value in _leaves(document):
        name = FILE_NAMES.get(path) or _snake(path)
        if value is None:
            continue
        if path in NOTHING_ELSE and value not in NOTHING_ELSE[path]:
            listed = " or ".join(f'"{one}"' for one in NOTHING_ELSE[path] if one)
            raise Invalid(
                f"failed to validate kubelet configuration, error: invalid configuration: {path} {value} is not "
                "supported" + (f", only {listed}" if listed else "")
            )
        if name in FIELDS and name not in NOT_IN_FILE:
            converted = _converted(name, value)
            if converted not in ("", 0) or isinstance(converted, bool) or name in ZERO_COUNTS:
                values[name] = converted
        elif (
            path not in NOTHING_ELSE
            and not {path, path.partition(".")[0], path.rpartition(".")[0]} & ACCEPTED
        ):
            log.warning('using lenient decoding: strict decoding error: unknown field "%s"', path)
    if document.get("mergeDefaultEvictionSettings"):
        values["eviction_hard"] = _with_defaults(values.get("eviction_hard") or ())
    if values.get("max_parallel_image_pulls", 0) > 1:
        values.setdefault("serialize_image_pulls", False)
    return Options(**values)


def _with_defaults(given: tuple[str, ...]) -> tuple[str, ...]:
    defaults = {text.partition("<")[0]: text for text in Options().eviction_hard}
    return tuple((defaults | {text.partition("<")[0]: text for text in given}).values())


def _leaves(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names of what stands in the file; only objects that have names of their own are entered."""
    found: list[tuple[str, Any]] = []
    for key, value in document.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and any(name.startswith(f"{path}.") for name in FILE_NAMES):
            found += _leaves(value, f"{path}.")
        else:
            found.append((path, value))
    return found


def _converted(name: str, value: Any) -> Any:
    """A value of the file as the option has it."""
    kind = str(FIELDS[name].type)
    if name == "shutdown_grace_period_by_pod_priority":
        return {str(one["priority"]): str(one["shutdownGracePeriodSeconds"]) for one in value}
    if name == "register_with_taints":
        return tuple(f"{one['key']}={one.get('value') or ''}:{one['effect']}" for one in value)
    if "Duration" in kind:
        return parse_duration(value) if isinstance(value, str) else Duration(float(value) / 1e9)
    if name in THRESHOLDS:
        return tuple(f"{key}<{one}" for key, one in value.items())
    if "tuple" in kind:
        return tuple(value) if isinstance(value, list) else (value,)
    if "dict" in kind:
        return {str(key): one if isinstance(one, bool) else str(one) for key, one in dict(value).items()}
    return value


def as_configuration(options: Options) -> dict[str, Any]:
    """What `/configz` shows: the file that would make these options."""
    paths = {name: path for path, name in FILE_NAMES.items()}
    shown: dict[str, Any] = {"kind": KIND, "apiVersion": VERSION}
    for name in sorted(FIELDS):
        if name in NOT_IN_FILE:
            continue
        *places, key = (paths.get(name) or _camel(name)).split(".")
        table = shown
        for place in places:
            table = table.setdefault(place, {})
        table[key] = _shown(name, getattr(options, name))
    return shown


def _shown(name: str, value: Any) -> Any:
    if name in THRESHOLDS:
        return dict(text.split("<", 1) for text in value)
    if name == "shutdown_grace_period_by_pod_priority":
        return [
            {"priority": int(priority), "shutdownGracePeriodSeconds": int(seconds)}
            for priority, seconds in value.items()
        ]
    if name == "register_with_taints":
        return [taints.of_text(text) for text in value]
    if "Duration" in str(FIELDS[name].type):
        return format_duration(value)
    return list(value) if isinstance(value, tuple) else value


def _snake(camel: str) -> str:
    return "".join(f"_{character.lower()}" if character.isupper() else character for character in camel)


def _camel(snake: str) -> str:
    head, *rest = snake.split("_")
    return head + "".join(part.capitalize() for part in rest)
