"""The `KubeProxyConfiguration` file behind `--config`, which `/configz` shows and `--write-config-to` writes.

Source: https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, not_supported
from kubarium.apimachinery.object import Object
from kubarium.component_base.options import format_duration, parse_duration

KIND, API_VERSION = "KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"
MODES = ("iptables", "ipvs", "nftables")
LOCAL_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix", "")
PRIMARY = "primary"

FIELDS = {  # place in the file -> name of the option
    "featureGates": "feature_gates",
    "clientConnection.kubeconfig": "kubeconfig",
    "clientConnection.contentType": "kube_api_content_type",
    "clientConnection.qps": "kube_api_qps",
    "clientConnection.burst": "kube_api_burst",
    "hostnameOverride": "hostname_override",
    "bindAddress": "bind_address",
    "healthzBindAddress": "healthz_bind_address",
    "metricsBindAddress": "metrics_bind_address",
    "bindAddressHardFail": "bind_address_hard_fail",
    "enableProfiling": "profiling",
    "showHiddenMetricsForVersion": "show_hidden_metrics_for_version",
    "mode": "proxy_mode",
    "iptables.masqueradeBit": "iptables_masquerade_bit",
    "iptables.masqueradeAll": "masquerade_all",
    "iptables.localhostNodePorts": "iptables_localhost_nodeports",
    "iptables.syncPeriod": "iptables_sync_period",
    "iptables.minSyncPeriod": "iptables_min_sync_period",
    "detectLocalMode": "detect_local_mode",
    "detectLocal.bridgeInterface": "pod_bridge_interface",
    "detectLocal.interfaceNamePrefix": "pod_interface_name_prefix",
    "clusterCIDR": "cluster_cidr",
    "nodePortAddresses": "nodeport_addresses",
    "oomScoreAdj": "oom_score_adj",
    "conntrack.maxPerCore": "conntrack_max_per_core",
    "conntrack.min": "conntrack_min",
    "conntrack.tcpEstablishedTimeout": "conntrack_tcp_timeout_established",
    "conntrack.tcpCloseWaitTimeout": "conntrack_tcp_timeout_close_wait",
    "conntrack.tcpBeLiberal": "conntrack_tcp_be_liberal",
    "conntrack.udpTimeout": "conntrack_udp_timeout",
    "conntrack.udpStreamTimeout": "conntrack_udp_timeout_stream",
    "configSyncPeriod": "config_sync_period",
}
SHARED = (
    "masqueradeBit",
    "masqueradeAll",
    "syncPeriod",
    "minSyncPeriod",
)  # stand in `iptables` and in `nftables`
# Known to upstream, without a meaning here: other systems, other back ends, how to log.
ELSEWHERE = ("apiVersion", "kind", "logging", "ipvs", "winkernel", "portRange", "windowsRunAsService")
NO_MEANING = ("clientConnection.acceptContentTypes",)
EMPTY_IS_DEFAULT = ("", None, 0, "0s")  # upstream cannot tell these from "not given" where there is a default


class ConfigurationError(ValueError):
    """The file is no configuration of kube-proxy."""


def values_in(text: str) -> dict[str, Any]:
    """The options that a file sets. Raises ConfigurationError; a field that does not exist is an error."""
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigurationError(f"cannot be read as YAML: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        kind = document.get("kind") if isinstance(document, dict) else None
        raise ConfigurationError(f"kind must be {KIND}, not {kind!r}")
    if document.get("apiVersion") != API_VERSION:
        raise ConfigurationError(
            f'no kind "{KIND}" is registered for version "{document.get("apiVersion")}", use {API_VERSION}'
        )
    section = "nftables" if document.get("mode") == "nftables" else "iptables"
    found, unknown = {}, []
    for place, value in _leaves(document):
        name = _option(place, section)
        if name:
            found[name] = _from_file(place, value)
        elif name is None:
            unknown.append(place)
    if unknown:
        fields = ", ".join(f'unknown field "{place}"' for place in sorted(unknown))
        raise ConfigurationError(f"strict decoding error: {fields}")
    return {name: value for name, value in found.items() if value is not None}


def _option(place: str, section: str) -> str | None:
    """The option behind a place; "" for what has no meaning now, None for what does not exist."""
    head, _, field = place.partition(".")
    if head in ELSEWHERE or place in NO_MEANING:
        return ""
    if head == "nftables" and field in SHARED:
        return FIELDS[f"iptables.{field}"] if section == "nftables" else ""
    if head == "iptables" and field in SHARED and section != "iptables":
        return ""
    return FIELDS.get(place)


def _leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    sections = {place.partition(".")[0] for place in FIELDS if "." in place} | {"nftables"}
    for key, value in document.items():
        if not prefix and key in sections and isinstance(value, dict):
            yield from _leaves(value, f"{key}.")
        else:
            yield f"{prefix}{key}", value


def _from_file(place: str, value: Any) -> Any:
    if place.endswith(("Period", "Timeout")):
        return None if value in EMPTY_IS_DEFAULT else parse_duration(str(value))
    if place == "nodePortAddresses":
        return tuple(value or ())
    if isinstance(value, str) and value == "":
        return None
    return value


def document_of(options: object) -> Object:
    """The whole configuration that is in force (`kube_proxy.options.Options`), as a file."""
    document: Object = {"apiVersion": API_VERSION, "kind": KIND}
    for place, name in FIELDS.items():
        value = getattr(options, name)
        if place.endswith(("Period", "Timeout")):
            value = format_duration(value)
        _put(document, place, list(value) if isinstance(value, tuple) else value)
    document["nftables"] = {field: document["iptables"][field] for field in SHARED}
    return document


def _put(document: Object, place: str, value: Any) -> None:
    head, dot, field = place.partition(".")
    if dot:
        document.setdefault(head, {})[field] = value
    else:
        document[head] = value


def validate(document: Object) -> list[FieldError]:
    """What is wrong in a whole configuration; paths and texts are upstream's, which names its internal fields."""
    return list(_validate(document, FieldPath(KIND)))


def _validate(document: Object, root: FieldPath) -> Iterable[FieldError]:
    iptables, conntrack = document["iptables"], document["conntrack"]
    bit = iptables["masqueradeBit"]
    if not 0 <= bit <= 31:
        kind = "NFTables" if document["mode"] == "nftables" else "IPTables"
        yield invalid(
            root / f"KubeProxy{kind}Configuration" / "MasqueradeBit", bit, "must be within the range [0, 31]"
        )
    linux = root / "KubeProxyLinuxConfiguration"
    for field in (
        "maxPerCore",
        "min",
        "tcpEstablishedTimeout",
        "tcpCloseWaitTimeout",
        "udpTimeout",
        "udpStreamTimeout",
    ):
        if _number(conntrack[field]) < 0:
            path = linux / "KubeProxyConntrackConfiguration" / _exported(field)
            yield invalid(path, conntrack[field], "must be greater than or equal to 0")
    if not -1000 <= document["oomScoreAdj"] <= 1000:
        yield invalid(
            linux / "OOMScoreAdj", document["oomScoreAdj"], "must be within the range [-1000, 1000]"
        )
    if document["mode"] not in ("", *MODES):
        text = (
            f"must be {', '.join(MODES)} or blank (blank means the best-available proxy [currently iptables])"
        )
        yield invalid(root / "Mode" / "ProxyMode", document["mode"], text)
    if document["clientConnection"]["burst"] < 0:
        yield invalid(
            root / "ClientConnection" / "Burst",
            document["clientConnection"]["burst"],
            "must be greater than or equal to 0",
        )
    yield from _validate_periods(document, root)
    yield from _validate_addresses(document, root)
    yield from _validate_local(document, root)


def _validate_periods(document: Object, root: FieldPath) -> Iterable[FieldError]:
    period, minimum = document["iptables"]["syncPeriod"], document["iptables"]["minSyncPeriod"]
    if _number(document["configSyncPeriod"]) <= 0:
        yield invalid(root / "ConfigSyncPeriod", document["configSyncPeriod"], "must be greater than 0")
    if _number(period) <= 0:
        yield invalid(root / "SyncPeriod", period, "must be greater than 0")
    if _number(minimum) < 0:
        yield invalid(root / "MinSyncPeriod", minimum, "must be greater than or equal to 0")
    if _number(minimum) > _number(period):
        text = f"must be greater than or equal to {root / 'MinSyncPeriod'}"
        yield invalid(root / "SyncPeriod", minimum, text)


def _validate_addresses(document: Object, root: FieldPath) -> Iterable[FieldError]:
    if not _is_address(document["bindAddress"]):
        text = "not a valid textual representation of an IP address"
        yield invalid(root / "BindAddress", document["bindAddress"], text)
    for field in ("healthzBindAddress", "metricsBindAddress"):
        if document[field]:  # empty: not served
            yield from _validate_host_port(document[field], root / _exported(field))
    for index, cidr in enumerate(document["nodePortAddresses"]):
        path = root / "NodePortAddresses" % index
        if cidr == PRIMARY:
            if len(document["nodePortAddresses"]) != 1:
                yield invalid(path, cidr, "can't use both 'primary' and CIDRs")
            return
        if not _is_network(cidr):
            yield invalid(path, cidr, "must be a valid CIDR")


def _validate_host_port(text: str, path: FieldPath) -> Iterable[FieldError]:
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        yield invalid(path, text, "must be IP:port")
        return
    if not _is_address(host.strip("[]")):
        yield invalid(path, host.strip("[]"), "must be a valid IP")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        yield invalid(path, port, "must be a valid port")


def _validate_local(document: Object, root: FieldPath) -> Iterable[FieldError]:
    mode, detect = document["detectLocalMode"], document["detectLocal"]
    cidrs = [cidr for cidr in document["clusterCIDR"].split(",") if cidr]
    path, example = root / "ClusterCIDR", "(e.g. 10.100.0.0/16,fde4:8dba:82e1::/48)"
    if len(cidrs) > 2:
        text = f"only one CIDR allowed or a valid DualStack CIDR {example}"
        yield invalid(path, document["clusterCIDR"], text)
    elif len(cidrs) == 2 and not _are_of_both_families(cidrs):
        yield invalid(path, document["clusterCIDR"], f"must be a valid DualStack CIDR {example}")
    elif len(cidrs) == 1 and not _is_network(cidrs[0]):
        text = "must be a valid CIDR block (e.g. 10.100.0.0/16 or fde4:8dba:82e1::/48)"
        yield invalid(path, document["clusterCIDR"], text)
    if mode not in LOCAL_MODES:
        yield not_supported(root / "DetectLocalMode", mode, LOCAL_MODES)
    if mode == "BridgeInterface" and not detect["bridgeInterface"]:
        yield invalid(root / "InterfaceName", "", "must not be empty")
    if mode == "InterfaceNamePrefix" and not detect["interfaceNamePrefix"]:
        yield invalid(root / "InterfacePrefix", "", "must not be empty")


def _number(value: str | float) -> float:
    return parse_duration(value) if isinstance(value, str) else value


def _exported(field: str) -> str:
    """`maxPerCore` -> `MaxPerCore`, `tcpCloseWaitTimeout` -> `TCPCloseWaitTimeout`: Go's spelling."""
    for short in ("tcp", "udp"):
        if field.startswith(short):
            return short.upper() + field[3:]
    return field[0].upper() + field[1:]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _are_of_both_families(cidrs: list[str]) -> bool:
    return all(_is_network(cidr) for cidr in cidrs) and (":" in cidrs[0]) != (":" in cidrs[1])
