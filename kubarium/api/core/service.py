"""Service: a stable name and address for a changing set of pods.

Source: https://kubernetes.io/docs/concepts/services-networking/service/
"""

from __future__ import annotations

import ipaddress

from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    immutable,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_labels
from kubarium.apimachinery.object import Object

CLUSTER_IP, NODE_PORT, LOAD_BALANCER, EXTERNAL_NAME = "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"
TYPES = (CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT)
NONE = "None"  # the clusterIP of a headless service
PROTOCOLS = ("SCTP", "TCP", "UDP")
AFFINITY_SECONDS = 10800
MAX_AFFINITY_SECONDS = 86400


def spec_of(service: Object) -> Object:
    """The wish."""
    return service.get("spec") or {}


def type_of(service: Object) -> str:
    """How far the service reaches."""
    return spec_of(service).get("type") or CLUSTER_IP


def ports_of(service: Object) -> list[Object]:
    """The ports."""
    return spec_of(service).get("ports") or []


def is_headless(service: Object) -> bool:
    """Does its name lead to the pods themselves?"""
    return spec_of(service).get("clusterIP") == NONE


def has_cluster_ip(service: Object) -> bool:
    """Does it have an address of its own?"""
    return type_of(service) != EXTERNAL_NAME and spec_of(service).get("clusterIP") not in (None, "", NONE)


def cluster_ips_of(service: Object) -> list[str]:
    """Its addresses, none for headless ones."""
    spec = spec_of(service)
    found = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    return [address for address in found if address and address != NONE]


def needs_node_ports(service: Object) -> bool:
    """Is it to be reached at every node?"""
    kind = type_of(service)
    return kind == NODE_PORT or (
        kind == LOAD_BALANCER and spec_of(service).get("allocateLoadBalancerNodePorts") is not False
    )


def is_externally_accessible(service: Object) -> bool:
    """Are there ways in from outside the cluster?"""
    return type_of(service) in (NODE_PORT, LOAD_BALANCER) or bool(spec_of(service).get("externalIPs"))


def needs_health_check_port(service: Object) -> bool:
    """May a load balancer ask each node whether it has local endpoints?"""
    return type_of(service) == LOAD_BALANCER and spec_of(service).get("externalTrafficPolicy") == "Local"


def fill_defaults(service: Object) -> None:
    """What an absent field means."""
    spec = service.setdefault("spec", {})
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}) or {}
        config.setdefault("clientIP", {}).setdefault("timeoutSeconds", AFFINITY_SECONDS)
        spec["sessionAffinityConfig"] = config
    if not spec.get("type"):
        spec["type"] = CLUSTER_IP
    for port in spec.get("ports") or []:
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port", 0)
    if spec["type"] != EXTERNAL_NAME and not spec.get("internalTrafficPolicy"):
        spec["internalTrafficPolicy"] = "Cluster"
    if is_externally_accessible(service) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] == LOAD_BALANCER and spec.get("allocateLoadBalancerNodePorts") is None:
        spec["allocateLoadBalancerNodePorts"] = True
    if spec["type"] == LOAD_BALANCER:
        for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
            if ingress.get("ip") and not ingress.get("ipMode"):
                ingress["ipMode"] = "VIP"


def validate(service: Object) -> list[FieldError]:
    """What makes a service invalid, in field order."""
    spec = spec_of(service)
    kind = type_of(service)
    found = _validate_ports(service)
    found += validate_labels(spec.get("selector"), SPEC / "selector")
    if kind not in TYPES:
        found.append(not_supported(SPEC / "type", kind, TYPES))
    found += _validate_addresses(spec, kind)
    found += _validate_affinity(spec)
    if kind == EXTERNAL_NAME:
        name = (spec.get("externalName") or "").removesuffix(".")
        if not name:
            found.append(required(SPEC / "externalName"))
        else:
            found += [invalid(SPEC / "externalName", name, text) for text in names.dns_subdomain_errors(name)]
    for index, address in enumerate(spec.get("externalIPs") or []):
        found += ip_errors(SPEC / "externalIPs" % index, address)
    if kind != LOAD_BALANCER:
        for field in ("loadBalancerClass", "loadBalancerSourceRanges"):
            if spec.get(field):
                found.append(forbidden(SPEC / field, "may only be used when `type` is 'LoadBalancer'"))
        if spec.get("allocateLoadBalancerNodePorts") is not None:
            why = "may only be used when `type` is 'LoadBalancer'"
            found.append(forbidden(SPEC / "allocateLoadBalancerNodePorts", why))
    policy = spec.get("externalTrafficPolicy")
    if policy and policy not in ("Cluster", "Local"):
        found.append(not_supported(SPEC / "externalTrafficPolicy", policy, ("Cluster", "Local")))
    if policy and not is_externally_accessible(service):
        why = "may only be set for externally-accessible services"
        found.append(invalid(SPEC / "externalTrafficPolicy", policy, why))
    internal = spec.get("internalTrafficPolicy")
    if internal and internal not in ("Cluster", "Local"):
        found.append(not_supported(SPEC / "internalTrafficPolicy", internal, ("Cluster", "Local")))
    return found


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """An address once given stays, unless the type changes to or from ExternalName."""
    found = validate(new)
    if type_of(old) != EXTERNAL_NAME and type_of(new) != EXTERNAL_NAME and spec_of(old).get("clusterIP"):
        found += immutable(
            SPEC / "clusterIPs" % 0,
            spec_of(new).get("clusterIPs") or [],
            spec_of(old).get("clusterIPs") or [],
            "may not change once set",
        )
    return found


def ip_errors(path: FieldPath, address: str) -> list[FieldError]:
    """One error unless the text is an IP address."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return [invalid(path, address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
    return []


def _validate_ports(service: Object) -> list[FieldError]:
    ports = ports_of(service)
    found: list[FieldError] = []
    if not ports and not is_headless(service) and type_of(service) != EXTERNAL_NAME:
        found.append(required(SPEC / "ports"))
    names_seen: set[str] = set()
    numbers_seen: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        at = SPEC / "ports" % index
        found += _validate_port(port, at, len(ports) > 1)
        name = port.get("name") or ""
        if name and name in names_seen:
            found.append(duplicate(at / "name", name))
        names_seen.add(name)
        number = (port.get("port") or 0, port.get("protocol") or "")
        if number in numbers_seen:
            found.append(duplicate(at, {"port": number[0], "protocol": number[1]}))
        numbers_seen.add(number)
    return found


def _validate_port(port: Object, at: FieldPath, several: bool) -> list[FieldError]:
    found: list[FieldError] = []
    name = port.get("name") or ""
    if several and not name:
        found.append(required(at / "name"))
    if name:
        found += [invalid(at / "name", name, text) for text in names.dns_label_errors(name)]
    found += port_number_errors(at / "port", port.get("port") or 0)
    protocol = port.get("protocol") or ""
    if not protocol:
        found.append(required(at / "protocol"))
    elif protocol not in PROTOCOLS:
        found.append(not_supported(at / "protocol", protocol, PROTOCOLS))
    target = port.get("targetPort")
    if isinstance(target, int):
        found += port_number_errors(at / "targetPort", target)
    elif isinstance(target, str):
        found += [invalid(at / "targetPort", target, text) for text in names.port_name_errors(target)]
    return found


def port_number_errors(path: FieldPath, number: int) -> list[FieldError]:
    """One error unless the number is a port."""
    return [] if 1 <= number <= 65535 else [invalid(path, number, "must be between 1 and 65535, inclusive")]


def _validate_addresses(spec: Object, kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    address = spec.get("clusterIP")
    if kind == EXTERNAL_NAME:
        if spec.get("clusterIPs"):
            found.append(forbidden(SPEC / "clusterIPs", "may not be set for ExternalName services"))
        return found
    if address == NONE and kind in (NODE_PORT, LOAD_BALANCER):
        what = "NodePort" if kind == NODE_PORT else "LoadBalancer"
        found.append(invalid(SPEC / "clusterIPs" % 0, NONE, f"may not be set to 'None' for {what} services"))
    for index, each in enumerate(spec.get("clusterIPs") or ([address] if address else [])):
        if each not in (NONE, ""):
            found += ip_errors(SPEC / "clusterIPs" % index, each)
    return found


def _validate_affinity(spec: Object) -> list[FieldError]:
    affinity = spec.get("sessionAffinity")
    if affinity not in ("ClientIP", "None"):
        return [not_supported(SPEC / "sessionAffinity", affinity, ("ClientIP", "None"))]
    if affinity != "ClientIP":
        return []
    seconds = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds") or 0
    if 0 < seconds <= MAX_AFFINITY_SECONDS:
        return []
    at = SPEC / "sessionAffinityConfig" / "clientIP" / "timeoutSeconds"
    return [invalid(at, seconds, f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}")]
