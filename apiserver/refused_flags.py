"""Flags that ask for what does not exist here: refused, and not left away without a word.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-config.v1beta1/ (EgressSelectorConfiguration)
"""

from __future__ import annotations

from collections.abc import Iterator

from apiserver import configuration
from apiserver.configuration import ConfigurationError
from apiserver.options import Options
from kubarium.apimachinery.field_path import SPEC, FieldError, FieldPath, invalid, not_supported, required
from kubarium.apimachinery.object import Object
from kubarium.apimachinery.rules import address_block, family_of
from kubarium.component_base import logging

log = logging.get(__name__)

EGRESS = ("apiserver.k8s.io/v1beta1", "apiserver.k8s.io/v1alpha1")
EGRESS_SHAPE = {
    "egressSelections": [
        {"name": None, "connection": {"proxyProtocol": None, "transport": {"tcp": None, "uds": None}}}
    ]
}
PROTOCOLS = ("Direct", "HTTPConnect", "GRPC")
NAMES = ("controlplane", "etcd", "cluster")
LARGEST_CHANCE = 0.02


def check(options: Options) -> None:
    """Judge what the flags name. Raises ConfigurationError."""
    if not 0 <= options.goaway_chance <= LARGEST_CHANCE:
        raise ConfigurationError("--goaway-chance can not be less than 0 or greater than 0.02")
    if options.goaway_chance:
        log.warning("--goaway-chance is without effect: HTTP/1.1 is spoken, whose connections clients close")
    _check_ranges(options)
    if options.egress_selector_config_file:
        found = configuration.load(
            options.egress_selector_config_file, "EgressSelectorConfiguration", EGRESS, EGRESS_SHAPE
        )
        configuration.refuse(list(egress_problems(found)))
        configuration.refuse(list(_proxies(found)))


def _check_ranges(options: Options) -> None:
    """Services have one range of a family; the server is itself behind one of the first."""
    flag, ranges = "--service-cluster-ip-range", options.service_cluster_ip_range
    for index, text in enumerate(ranges):
        if address_block(SPEC, text):
            raise ConfigurationError(f"{flag[2:]}[{index}] is not a valid cidr")
    if len(ranges) > 2:
        raise ConfigurationError(f"{flag} must not contain more than two entries")
    if len(ranges) == 2 and family_of(ranges[0]) == family_of(ranges[1]):
        raise ConfigurationError(f"{flag}[0] and {flag}[1] must be of different IP family")
    own = options.advertise_address
    if own and ranges and family_of(own) != family_of(ranges[0]):
        raise ConfigurationError(f'service IP family "{ranges[0]}" must match public address family "{own}"')


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


def _proxies(document: Object) -> Iterator[FieldError]:
    for index, one in enumerate(document.get("egressSelections") or ()):
        protocol = one["connection"]["proxyProtocol"]
        if (
            protocol != "Direct"
        ):  # a proxy may be there to protect something: nobody is to believe that it is used
            path = FieldPath("egressSelections") % index / "connection" / "proxyProtocol"
            yield not_supported(path, protocol, ("Direct",))
