"""What makes a Service invalid, in field order, and what of it stays.

Source: the field descriptions of `ServiceSpec` and `k8s.io/kubernetes/pkg/apis/core/validation` for the wording.
"""

from __future__ import annotations

from kubarium.api.core.service import (
    CLUSTER_IP,
    EXTERNAL_NAME,
    LOAD_BALANCER,
    MAX_AFFINITY_SECONDS,
    NODE_PORT,
    NONE,
    PREFER_DUAL,
    PROTOCOLS,
    REQUIRE_DUAL,
    SINGLE,
    TYPES,
    is_externally_accessible,
    is_headless,
    needs_health_check_port,
    ports_of,
    type_of,
)
from kubarium.apimachinery import names, rules
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
from kubarium.apimachinery.object import Object, spec_of

KUBELET_PORT = 10250
POLICIES = ("Cluster", "Local")
FAMILY_POLICIES = (PREFER_DUAL, REQUIRE_DUAL, SINGLE)
DISTRIBUTIONS = ("PreferClose", "PreferSameNode", "PreferSameZone")
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_ONCE = "may not change once set"


def validate(service: Object) -> list[FieldError]:
    """A whole service."""
    spec, kind = spec_of(service), type_of(service)
    found = _validate_ports(service)
    found += validate_labels(spec.get("selector"), SPEC / "selector")
    if kind not in TYPES:
        found.append(not_supported(SPEC / "type", kind, sorted(TYPES)))
    found += _validate_addresses(spec, kind)
    found += _validate_affinity(spec)
    if kind == EXTERNAL_NAME:
        name = (spec.get("externalName") or "").removesuffix(".")
        found += rules.named(SPEC / "externalName", name, names.dns_subdomain_errors)
    for index, address in enumerate(spec.get("externalIPs") or []):
        found += rules.reachable_address(SPEC / "externalIPs" % index, address)
    found += _validate_load_balancer(spec, kind)
    return found + _validate_traffic(service, spec)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """An address once given stays, unless the type changes to or from ExternalName."""
    found = validate(new)
    after, before = spec_of(new), spec_of(old)
    if EXTERNAL_NAME not in (type_of(old), type_of(new)):
        found += _validate_address_update(after, before)
    if type_of(new) == type_of(old) == LOAD_BALANCER:
        found += immutable(
            SPEC / "loadBalancerClass", after.get("loadBalancerClass"), before.get("loadBalancerClass"), _ONCE
        )
    if needs_health_check_port(new) and needs_health_check_port(old):
        field = "healthCheckNodePort"
        found += immutable(SPEC / field, after.get(field), before.get(field))
    return found


def validate_status_update(new: Object, old: Object) -> list[FieldError]:
    """What a load balancer says of its ways in."""
    found: list[FieldError] = []
    balancer = (new.get("status") or {}).get("loadBalancer") or {}
    at = FieldPath("status") / "loadBalancer" / "ingress"
    for index, way in enumerate(balancer.get("ingress") or []):
        address, mode, host = way.get("ip"), way.get("ipMode"), way.get("hostname")
        if address:
            found += rules.address(at % index / "ip", address)
            if mode is not None and mode not in ("Proxy", "VIP"):
                found.append(not_supported(at % index / "ipMode", mode, ("Proxy", "VIP")))
        elif mode is not None:
            found.append(forbidden(at % index / "ipMode", "may not be specified when `ip` is not set"))
        if host:
            found += rules.if_named(at % index / "hostname", host, names.dns_subdomain_errors)
            if rules.is_address(host):
                found.append(invalid(at % index / "hostname", host, "must be a DNS name, not an IP address"))
    return found


# ---- ports


def _validate_ports(service: Object) -> list[FieldError]:
    ports, kind = ports_of(service), type_of(service)
    found: list[FieldError] = []
    if not ports and not is_headless(service) and kind != EXTERNAL_NAME:
        found.append(required(SPEC / "ports"))
    for index, port in enumerate(ports):
        at = SPEC / "ports" % index
        if kind == LOAD_BALANCER and port.get("port") == KUBELET_PORT:
            why = f"may not expose port {KUBELET_PORT} externally since it is used by kubelet"
            found.append(invalid(at, port["port"], why))
        found += _validate_port(port, at, len(ports) > 1)
        if kind == CLUSTER_IP and port.get("nodePort"):
            found.append(forbidden(at / "nodePort", "may not be used when `type` is 'ClusterIP'"))
    return found + _validate_uniqueness(ports)


def _validate_port(port: Object, at: FieldPath, several: bool) -> list[FieldError]:
    name_rule = rules.named if several else rules.if_named
    found = name_rule(at / "name", port.get("name"), names.dns_label_errors)
    found += rules.port_number(at / "port", port.get("port"))
    found += rules.one_of(at / "protocol", port.get("protocol"), PROTOCOLS)
    if port.get("targetPort") is not None:
        found += rules.port(at / "targetPort", port["targetPort"])
    return found + rules.if_given(at / "appProtocol", port.get("appProtocol"), names.qualified_name_errors)


def _validate_uniqueness(ports: list[Object]) -> list[FieldError]:
    """No name, no pair of protocol and number, no pair of protocol and node port stands twice."""
    found: list[FieldError] = []
    seen: dict[str, set[object]] = {"name": set(), "port": set(), "nodePort": set()}
    for index, port in enumerate(ports):
        at = SPEC / "ports" % index
        protocol = port.get("protocol") or ""
        name, number, node_port = port.get("name") or "", port.get("port") or 0, port.get("nodePort") or 0
        if name and name in seen["name"]:
            found.append(duplicate(at / "name", name))
        if (protocol, number) in seen["port"]:
            shown = (  # upstream shows its own form of a port
                f'{{"Name":"","Protocol":"{protocol}","AppProtocol":null,"Port":{number},"TargetPort":0,"NodePort":0}}'
            )
            found.append(FieldError("FieldValueDuplicate", at, f"Duplicate value: {shown}"))
        if node_port and (protocol, node_port) in seen["nodePort"]:
            found.append(duplicate(at / "nodePort", node_port))
        seen["name"].add(name)
        seen["port"].add((protocol, number))
        seen["nodePort"].add((protocol, node_port))
    return found


# ---- addresses


def _validate_addresses(spec: Object, kind: str) -> list[FieldError]:
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if kind == EXTERNAL_NAME:
        return _validate_no_addresses(spec)
    at = SPEC / "clusterIPs"
    found: list[FieldError] = []
    if address == NONE and kind in (NODE_PORT, LOAD_BALANCER):
        found.append(invalid(at % 0, NONE, f"may not be set to 'None' for {kind} services"))
    if address and not addresses:
        found.append(required(at))
    elif address and addresses[0] != address:
        found.append(invalid(at, addresses, "first value must match `clusterIP`"))
    elif addresses and not address:
        found.append(invalid(at, addresses, "must be empty when `clusterIP` is not specified"))
    families, policy = spec.get("ipFamilies") or [], spec.get("ipFamilyPolicy")
    for index, family in enumerate(families):
        if family not in ("IPv4", "IPv6"):
            found.append(not_supported(SPEC / "ipFamilies" % index, family, ("IPv4", "IPv6")))
        if family in families[:index]:
            found.append(duplicate(SPEC / "ipFamilies" % index, family))
    if policy is not None and policy not in FAMILY_POLICIES:
        found.append(not_supported(SPEC / "ipFamilyPolicy", policy, FAMILY_POLICIES))
    return found + _validate_list(addresses, families) + _validate_policy(spec)


def _validate_list(addresses: list[str], families: list[str]) -> list[FieldError]:
    """One address of each family, in the order of the families."""
    at = SPEC / "clusterIPs"
    unfit: list[FieldError] = []
    if addresses[:1] == [NONE] and len(addresses) > 1:
        unfit.append(invalid(at, addresses, "'None' must be the first and only value"))
    for index, each in enumerate(addresses):
        if index or each != NONE:
            unfit += rules.address(at % index, each)
    found = [*unfit, invalid(at, addresses, "may only hold up to 2 values")] if len(addresses) > 2 else unfit
    if unfit or addresses == [NONE]:
        return found
    own = [rules.family_of(each) for each in addresses]
    if len(own) > 1 and len({*own}) < len(own):
        found.append(invalid(at, addresses, "may specify no more than one IP for each IP family"))
    for index, (each, family) in enumerate(zip(addresses, families, strict=False)):
        if family in ("IPv4", "IPv6") and family != own[index]:
            text = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            found.append(invalid(at % index, each, text))
    return found


def _validate_policy(spec: Object) -> list[FieldError]:
    """Two of anything need a policy for two."""
    if spec.get("ipFamilyPolicy") != SINGLE:
        return []
    text = f"must be '{REQUIRE_DUAL}' or '{PREFER_DUAL}' when multiple %s are specified"
    several = (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families"))
    at = SPEC / "ipFamilyPolicy"
    return [invalid(at, SINGLE, text % words) for name, words in several if len(spec.get(name) or ()) == 2]


def _validate_address_update(after: Object, before: Object) -> list[FieldError]:
    """The first family and its address stay; the second may come, and goes only if one is asked for."""
    headless = [spec.get("clusterIP") == NONE for spec in (after, before)]
    found: list[FieldError] = []
    for name, words in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        new, old = after.get(name) or [], before.get(name) or []
        if new and len(new) < len(old) and after.get("ipFamilyPolicy") != SINGLE:
            text = f"must be '{SINGLE}' to release the secondary {words}"
            found.append(invalid(SPEC / "ipFamilyPolicy", after.get("ipFamilyPolicy"), text))
        if all(headless) or (any(headless) and name == "ipFamilies"):
            continue  # nothing is given to who is headless
        if name == "clusterIPs" and old and not new:
            found.append(invalid(SPEC / name % 0, new, "primary clusterIP can not be unset"))
        for index, (one, other) in enumerate(zip(new, old, strict=False)):
            if one != other:
                found.append(invalid(SPEC / name % (index if name == "clusterIPs" else 0), new, _ONCE))
    return found


def _validate_no_addresses(spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(field) and spec[field] != [""]:
            found.append(forbidden(SPEC / field, "may not be set for ExternalName services"))
    return found


def _validate_affinity(spec: Object) -> list[FieldError]:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    found = rules.one_of(SPEC / "sessionAffinity", affinity, ("ClientIP", "None"))
    at = SPEC / "sessionAffinityConfig"
    if affinity == "None" and config is not None:
        why = "must not be set when session affinity is None"
        found.append(forbidden(at, why))
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds") or 0
        if not 0 < seconds <= MAX_AFFINITY_SECONDS:
            why = f"must be greater than 0 and less than {MAX_AFFINITY_SECONDS}"
            found.append(invalid(at / "clientIP" / "timeoutSeconds", seconds, why))
    return found


# ---- traffic


def _validate_load_balancer(spec: Object, kind: str) -> list[FieldError]:
    found: list[FieldError] = []
    ranges, name = spec.get("loadBalancerSourceRanges") or [], spec.get("loadBalancerClass")
    if kind != LOAD_BALANCER:
        if ranges:
            found.append(forbidden(SPEC / "LoadBalancerSourceRanges", _ONLY_LOAD_BALANCER))
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if spec.get(field) is not None:
                found.append(forbidden(SPEC / field, _ONLY_LOAD_BALANCER))
        return found
    for index, text in enumerate(ranges):
        found += rules.address_block(SPEC / "LoadBalancerSourceRanges" % index, (text or "").strip())
    if spec.get("allocateLoadBalancerNodePorts") is None:
        found.append(required(SPEC / "allocateLoadBalancerNodePorts"))
    if name is not None:
        found += [
            invalid(SPEC / "loadBalancerClass", name, text) for text in names.qualified_name_errors(name)
        ]
    return found


def _validate_traffic(service: Object, spec: Object) -> list[FieldError]:
    found: list[FieldError] = []
    policy, health = spec.get("externalTrafficPolicy"), spec.get("healthCheckNodePort") or 0
    if not is_externally_accessible(service):
        if policy:
            why = "may only be set for externally-accessible services"
            found.append(invalid(SPEC / "externalTrafficPolicy", policy, why))
    else:
        found += rules.one_of(SPEC / "externalTrafficPolicy", policy, POLICIES)
    if health and not needs_health_check_port(service):
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        found.append(invalid(SPEC / "healthCheckNodePort", health, why))
    elif health:
        found += rules.port_number(SPEC / "healthCheckNodePort", health)
    found += rules.if_one_of(SPEC / "internalTrafficPolicy", spec.get("internalTrafficPolicy"), POLICIES)
    found += rules.if_one_of(SPEC / "trafficDistribution", spec.get("trafficDistribution"), DISTRIBUTIONS)
    return found
