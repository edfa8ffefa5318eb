"""Configuration files that are read and judged, although what they ask for does not exist here; the log says so.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1beta1/ (TracingConfiguration,
EgressSelectorConfiguration)
"""

from __future__ import annotations

from collections.abc import Iterator

from apiserver import configuration
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery.field_path import FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.object import Object
from kubarium.component_base import logging

log = logging.get(__name__)

TRACING = tuple(f"{configuration.GROUP}/{version}" for version in ("v1", "v1beta1", "v1alpha1"))
EGRESS = ("apiserver.k8s.io/v1beta1", "apiserver.k8s.io/v1alpha1")
TRACING_SHAPE = {"endpoint": None, "samplingRatePerMillion": None}
EGRESS_SHAPE = {
    "egressSelections": [
        {"name": None, "connection": {"proxyProtocol": None, "transport": {"tcp": None, "uds": None}}}
    ]
}
PROTOCOLS = ("Direct", "HTTPConnect", "GRPC")
NAMES = ("controlplane", "etcd", "cluster")
LARGEST_CHANCE = 0.02
LARGEST_RATE = 1_000_000


def check(options: Options) -> None:
    """Judge what the flags name, and tell what nothing comes of. Raises ConfigurationError."""
    if not 0 <= options.goaway_chance <= LARGEST_CHANCE:
        raise ConfigurationError("--goaway-chance can not be less than 0 or greater than 0.02")
    if options.goaway_chance:
        log.warning("--goaway-chance is without effect: HTTP/1.1 is spoken, whose connections clients close")
    if options.tracing_config_file:
        found = configuration.load(
            options.tracing_config_file, "TracingConfiguration", TRACING, TRACING_SHAPE
        )
        configuration.refuse(list(tracing_problems(found)))
        log.warning("--tracing-config-file is without effect: no traces are exported")
    if options.egress_selector_config_file:
        found = configuration.load(
            options.egress_selector_config_file, "EgressSelectorConfiguration", EGRESS, EGRESS_SHAPE
        )
        configuration.refuse(list(egress_problems(found)))
        for one in found.get("egressSelections") or ():
            if one["connection"]["proxyProtocol"] != "Direct":
                log.warning(
                    "the egress selection %s is without effect: all connections are direct", one["name"]
                )


def tracing_problems(document: Object) -> Iterator[FieldError]:
    """What is wrong with a TracingConfiguration."""
    rate, path = document.get("samplingRatePerMillion"), FieldPath("samplingRatePerMillion")
    if rate is not None and rate < 0:
        yield invalid(path, rate, "sampling rate must be positive")
    if rate is not None and rate > LARGEST_RATE:
        yield invalid(path, rate, "sampling rate per million must be less than or equal to one million")
    endpoint = document.get("endpoint")
    if endpoint is not None and ("/" in endpoint or not endpoint):
        yield invalid(FieldPath("endpoint"), endpoint, "it has the form host:port")


def egress_problems(document: Object) -> Iterator[FieldError]:
    """What is wrong with an EgressSelectorConfiguration."""
    for index, one in enumerate(document.get("egressSelections") or ()):
        path = FieldPath("egressSelections") % index
        if one.get("name") not in NAMES:
            yield not_supported(path / "name", one.get("name") or "", NAMES)
        connection = one.get("connection") or {}
        protocol = connection.get("proxyProtocol") or ""
        if protocol not in PROTOCOLS:
            yield not_supported(path / "connection" / "proxyProtocol", protocol, PROTOCOLS)
        transport = connection.get("transport")
        if protocol == "Direct" and transport:
            yield invalid(
                path / "connection" / "transport",
                "direct",
                "Transport config should be absent for direct connect",
            )
        if protocol in PROTOCOLS[1:] and not transport:
            yield required(path / "connection" / "transport", f"Transport is required for {protocol}")
