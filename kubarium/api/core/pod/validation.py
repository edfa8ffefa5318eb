"""What makes a pod invalid, rule by rule, in field order.

Source: the field descriptions of `PodSpec` and `k8s.io/kubernetes/pkg/apis/core/validation` for the wording.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubarium.api.core.pod.container_validation import validate_containers, validate_resources
from kubarium.api.core.pod.placement_validation import (
    validate_affinity,
    validate_spread,
    validate_tolerations,
)
from kubarium.api.core.pod.security_validation import validate_pod_security
from kubarium.api.core.pod.static import MIRROR
from kubarium.api.core.pod.volumes import validate_volumes
from kubarium.apimachinery import names, rules
from kubarium.apimachinery.field_path import (
    METADATA,
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
from kubarium.apimachinery.object import Object, annotations_of, name_of

"""Annotation on the pod that shows one which a node runs from a file of its own."""
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
RESTART_POLICIES = ("Always", "OnFailure", "Never")


def validate(pod: Object) -> list[FieldError]:
    """A whole pod."""
    spec = pod.get("spec") or {}
    found: list[FieldError] = []
    mirrored = annotations_of(pod).get(MIRROR)
    if mirrored is not None and not spec.get("nodeName"):
        at = (METADATA / "annotations").key(MIRROR)
        found.append(invalid(at, mirrored, "must set spec.nodeName if mirror pod annotation is set"))
    return [*found, *validate_spec(spec, SPEC), *_own_claim_errors(pod, spec.get("volumes") or [])]


def _own_claim_errors(pod: Object, volumes: list[Object]) -> list[FieldError]:
    """An ephemeral volume gets a claim that is named after the pod."""
    found: list[FieldError] = []
    for index, volume in enumerate(volumes):
        if volume.get("ephemeral") is not None and name_of(pod):
            name = volume.get("name") or ""
            claim = f"{name_of(pod)}-{name}"
            why = (f'PVC name "{claim}": {text}' for text in names.dns_subdomain_errors(claim))
            found += [invalid(SPEC / "volumes" % index / "name", name, text) for text in why]
    return found


def validate_template(
    template: Object, path: FieldPath, restart_policies: Sequence[str] | None
) -> list[FieldError]:
    """The pod inside a controller; `restart_policies` are those that make sense there."""
    spec = template.get("spec") or {}
    found = validate_template_metadata(template, path)
    found += validate_spec(spec, path / "spec")
    policy = spec.get("restartPolicy")
    if restart_policies is not None and policy and policy not in restart_policies:
        found.append(not_supported(path / "spec" / "restartPolicy", policy, restart_policies))
    if spec.get("ephemeralContainers"):
        why = "ephemeral containers not allowed in pod template"
        found.append(forbidden(path / "spec" / "ephemeralContainers", why))
    return found


def validate_template_metadata(template: Object, path: FieldPath) -> list[FieldError]:
    """Its labels and annotations."""
    metadata = template.get("metadata") or {}
    found = validate_labels(metadata.get("labels"), path / "labels")
    return [*found, *validate_annotations(metadata.get("annotations"), path / "annotations")]


def validate_spec(spec: Object, path: FieldPath) -> list[FieldError]:
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
    found += validate_pod_security(spec, path)
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
    found += _validate_gates(spec, path)
    found += _validate_claims(spec.get("resourceClaims") or [], path / "resourceClaims")
    found += _validate_amounts(spec, path)
    if spec.get("os") is not None:
        found += rules.one_of(path / "os" / "name", spec["os"].get("name"), ("linux", "windows"))
    found += rules.if_one_of(
        path / "preemptionPolicy", spec.get("preemptionPolicy"), ("Never", "PreemptLowerPriority")
    )
    if spec.get("hostNetwork"):
        found += _validate_host_network(spec, path)
    return found + _validate_host_ports(spec, path)


def _validate_gates(spec: Object, path: FieldPath) -> list[FieldError]:
    """What the pod waits for before it is scheduled, and what else must be true before it is ready."""
    found: list[FieldError] = []
    gates = [gate.get("name") or "" for gate in spec.get("schedulingGates") or []]
    for index, gate in enumerate(gates):
        at = path / "schedulingGates" % index
        found += [invalid(at, gate, text) for text in names.qualified_name_errors(gate)]
        if gate in gates[:index]:
            found.append(duplicate(at / "name", gate))
    for index, condition in enumerate(spec.get("readinessGates") or []):
        kind = condition.get("conditionType") or ""
        at = path / "readinessGates" % index / "conditionType"
        found += [invalid(at, kind, text) for text in names.qualified_name_errors(kind)]
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


MAX_NAMESERVERS, MAX_SEARCHES, MAX_SEARCH_CHARACTERS = 3, 32, 2048


def _validate_dns_config(spec: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    if spec.get("dnsConfig") is None:
        why = "must provide `dnsConfig` when `dnsPolicy` is None"
        return [required(path, why)] if spec.get("dnsPolicy") == "None" else []
    config = spec["dnsConfig"]
    nameservers, searches = config.get("nameservers") or [], config.get("searches") or []
    if spec.get("dnsPolicy") == "None" and not nameservers:
        what = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.append(required(path / "nameservers", what))
    if len(nameservers) > MAX_NAMESERVERS:
        why = f"must not have more than {MAX_NAMESERVERS} nameservers"
        found.append(invalid(path / "nameservers", nameservers, why))
    for index, address in enumerate(nameservers):
        found += rules.address(path / "nameservers" % index, address)
    if len(searches) > MAX_SEARCHES:
        found.append(
            invalid(path / "searches", searches, f"must not have more than {MAX_SEARCHES} search paths")
        )
    if len(" ".join(searches)) > MAX_SEARCH_CHARACTERS:
        why = f"must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list"
        found.append(invalid(path / "searches", searches, why))
    for index, search in enumerate(searches):
        if search != ".":  # a lone dot is the root
            bare = (search or "").removesuffix(".")
            at = path / "searches" % index
            found += [invalid(at, bare, text) for text in names.dns_subdomain_errors(bare, underscores=True)]
    for index, option in enumerate(config.get("options") or []):
        if not option.get("name"):
            found.append(required(path / "options" % index, "must not be empty"))
    return found


def _validate_host_aliases(aliases: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, alias in enumerate(aliases):
        found += rules.address(path % index / "ip", alias.get("ip") or "")
        for number, name in enumerate(alias.get("hostnames") or []):
            at = path % index / "hostnames" % number
            found += [invalid(at, name, text) for text in names.dns_subdomain_errors(name)]
    return found


_CLAIM_SOURCES = ("resourceClaimName", "resourceClaimTemplateName")


def _validate_claims(claims: list[Object], path: FieldPath) -> list[FieldError]:
    """Devices: each claim has a name, and is one that exists or one that a template makes."""
    found: list[FieldError] = []
    told = [claim.get("name") or "" for claim in claims]
    shown = "`resourceClaimName`, `resourceClaimTemplateName`"
    for index, claim in enumerate(claims):
        at = path % index
        found += rules.named(at / "name", claim.get("name"), names.dns_label_errors)
        if told[index] and told[index] in told[:index]:
            found.append(duplicate(at / "name", told[index]))
        given = [field for field in _CLAIM_SOURCES if claim.get(field) is not None]
        if not given:
            found.append(invalid(at, claim, f"must specify one of: {shown}"))
        elif len(given) > 1:
            found.append(invalid(at, claim, f"at most one of {shown} may be specified"))
        for field in given:
            found += [
                invalid(at / field, claim[field], text) for text in names.dns_subdomain_errors(claim[field])
            ]
    return found


def _validate_amounts(spec: Object, path: FieldPath) -> list[FieldError]:
    """What the pod as a whole asks for, and what running it costs."""
    found: list[FieldError] = []
    if spec.get("overhead"):
        found += validate_resources({"limits": spec["overhead"]}, path / "overhead")
    whole = spec.get("resources")
    if whole:
        found += validate_resources(whole, path / "resources")
        for part in ("limits", "requests"):
            for name in whole.get(part) or {}:
                if name not in ("cpu", "memory") and not name.startswith("hugepages-"):
                    at = (path / "resources" / part).key(name)
                    found.append(not_supported(at, name, ("cpu", "hugepages-", "memory")))
        if whole.get("claims"):
            found.append(
                forbidden(path / "resources" / "claims", "claims may not be set for Resources at pod-level")
            )
    return found
