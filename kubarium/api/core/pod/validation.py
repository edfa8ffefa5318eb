"""What makes a pod invalid, rule by rule, in field order.

Source: the field descriptions of `PodSpec` and `k8s.io/kubernetes/pkg/apis/core/validation` for the wording.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from kubarium.api.core.pod.container_validation import validate_containers
from kubarium.api.core.pod.placement_validation import (
    validate_affinity,
    validate_spread,
    validate_tolerations,
)
from kubarium.api.core.pod.volumes import validate_volumes
from kubarium.apimachinery import names
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_annotations, validate_labels
from kubarium.apimachinery.object import Object

DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
RESTART_POLICIES = ("Always", "Never", "OnFailure")


def validate(pod: Object) -> list[FieldError]:
    """A whole pod."""
    return validate_spec(pod.get("spec") or {}, SPEC, host_ports_unique=True)


def validate_template(
    template: Object, path: FieldPath, restart_policies: Sequence[str] | None
) -> list[FieldError]:
    """The pod inside a controller; `restart_policies` are those that make sense there."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    found = validate_labels(metadata.get("labels"), path / "labels")
    found += validate_annotations(metadata.get("annotations"), path / "annotations")
    found += validate_spec(spec, path / "spec")
    policy = spec.get("restartPolicy")
    if restart_policies is not None and policy in RESTART_POLICIES and policy not in restart_policies:
        found.append(not_supported(path / "spec" / "restartPolicy", policy, restart_policies))
    if spec.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        found.append(forbidden(path / "spec" / "ephemeralContainers", why))
    return found


def validate_spec(spec: Object, path: FieldPath, *, host_ports_unique: bool = False) -> list[FieldError]:
    """What pods and templates share."""
    found, volume_names = validate_volumes(spec.get("volumes") or [], path / "volumes")
    found += validate_containers(spec, volume_names, path)
    policy = spec.get("restartPolicy")
    if policy not in RESTART_POLICIES:
        at = path / "restartPolicy"
        found.append(required(at) if not policy else not_supported(at, policy, RESTART_POLICIES))
    dns = spec.get("dnsPolicy")
    if dns not in DNS_POLICIES:
        found.append(
            required(path / "dnsPolicy") if not dns else not_supported(path / "dnsPolicy", dns, DNS_POLICIES)
        )
    found += _validate_dns_config(spec, path / "dnsConfig")
    found += validate_labels(spec.get("nodeSelector"), path / "nodeSelector")
    found += _validate_security(spec, path)
    for index, secret in enumerate(spec.get("imagePullSecrets") or []):
        if not secret.get("name"):
            found.append(required(path / "imagePullSecrets" % index / "name"))
    found += validate_affinity(spec.get("affinity") or {}, path / "affinity")
    found += _validate_names(spec, path)
    found += validate_tolerations(spec.get("tolerations") or [], path / "tolerations")
    found += _validate_host_aliases(spec.get("hostAliases") or [], path / "hostAliases")
    found += validate_spread(spec.get("topologySpreadConstraints") or [], path / "topologySpreadConstraints")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= 2**31 - 1:
        found.append(
            invalid(path / "activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive")
        )
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is None:
        found.append(required(path / "terminationGracePeriodSeconds"))
    gates = [gate.get("name") for gate in spec.get("schedulingGates") or []]
    for index, gate in enumerate(gates):
        if gate in gates[:index]:
            found.append(duplicate(path / "schedulingGates" % index / "name", gate))
    if spec.get("hostNetwork"):
        found += _validate_host_network(spec, path)
    if host_ports_unique:
        found += _validate_host_ports(spec, path)
    return found


def _validate_names(spec: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    account = spec.get("serviceAccountName")
    if account:
        found += [
            invalid(path / "serviceAccountName", account, t) for t in names.dns_subdomain_errors(account)
        ]
    node = spec.get("nodeName")
    if node:
        found += [invalid(path / "nodeName", node, text) for text in names.dns_subdomain_errors(node)]
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            found += [
                invalid(path / field, spec[field], text) for text in names.dns_label_errors(spec[field])
            ]
    if spec.get("priorityClassName"):
        value = spec["priorityClassName"]
        found += [
            invalid(path / "priorityClassName", value, text) for text in names.dns_subdomain_errors(value)
        ]
    if spec.get("runtimeClassName"):
        value = spec["runtimeClassName"]
        found += [
            invalid(path / "runtimeClassName", value, text) for text in names.dns_subdomain_errors(value)
        ]
    return found


def _validate_security(spec: Object, path: FieldPath) -> list[FieldError]:
    security = spec.get("securityContext") or {}
    at = path / "securityContext"
    found: list[FieldError] = []
    for field in ("runAsUser", "runAsGroup", "fsGroup"):
        if (security.get(field) or 0) < 0:
            found.append(invalid(at / field, security[field], "must be between 0 and 2147483647, inclusive"))
    seen: set[str] = set()
    for index, sysctl in enumerate(security.get("sysctls") or []):
        name = sysctl.get("name") or ""
        where = at / "sysctls" % index / "name"
        if not name:
            found.append(required(where))
        elif not _is_sysctl(name):
            rule = f"must have at most 253 characters and match regex ^{_SYSCTL.pattern}$"
            found.append(invalid(where, name, rule))
        elif name in seen:
            found.append(duplicate(where, name))
        seen.add(name)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        what = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid(path / "shareProcessNamespace", True, what))
    return found


def _is_sysctl(name: str) -> bool:
    return len(name) <= 253 and bool(_SYSCTL.fullmatch(name))


_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9]")


def _validate_host_network(spec: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, container in enumerate(spec.get("containers") or []):
        for number, port in enumerate(container.get("ports") or []):
            if port.get("hostPort") != port.get("containerPort"):
                at = path / "containers" % index / "ports" % number / "containerPort"
                found.append(
                    invalid(at, port.get("containerPort"), "must match `hostPort` when `hostNetwork` is true")
                )
    return found


def _validate_host_ports(spec: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[str, str, int]] = set()
    for index, container in enumerate(spec.get("containers") or []):
        for number, port in enumerate(container.get("ports") or []):
            if not port.get("hostPort"):
                continue
            place = (port.get("protocol") or "", port.get("hostIP") or "", port["hostPort"])
            if place in seen:
                at = path / "containers" % index / "ports" % number / "hostPort"
                found.append(duplicate(at, "/".join(map(str, place))))
            seen.add(place)
    return found


def _validate_dns_config(spec: Object, path: FieldPath) -> list[FieldError]:
    config = spec.get("dnsConfig") or {}
    found: list[FieldError] = []
    nameservers = config.get("nameservers") or []
    if spec.get("dnsPolicy") == "None" and not nameservers:
        what = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.append(required(path / "nameservers", what))
    if len(nameservers) > 3:
        found.append(invalid(path / "nameservers", nameservers, "must not have more than 3 nameservers"))
    for index, address in enumerate(nameservers):
        if not _is_ip(address):
            what = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            found.append(invalid(path / "nameservers" % index, address, what))
    return found


def _validate_host_aliases(aliases: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, alias in enumerate(aliases):
        if not _is_ip(alias.get("ip") or ""):
            what = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            found.append(invalid(path % index / "ip", alias.get("ip") or "", what))
        for number, name in enumerate(alias.get("hostnames") or []):
            at = path % index / "hostnames" % number
            found += [invalid(at, name, text) for text in names.dns_subdomain_errors(name)]
    return found


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
