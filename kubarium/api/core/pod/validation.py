"""What makes a pod invalid, rule by rule, in field order.

Source: the field descriptions of `PodSpec` and `k8s.io/kubernetes/pkg/apis/core/validation` for the wording.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from kubarium.api.core.pod.volumes import validate_volumes
from kubarium.api.core.service import port_number_errors
from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.field_path import (
    SPEC,
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from kubarium.apimachinery.metadata import validate_annotations, validate_label_selector, validate_labels
from kubarium.apimachinery.object import Object

DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
RESTART_POLICIES = ("Always", "Never", "OnFailure")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_NEGATIVE = "must be greater than or equal to 0"
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")


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
    found += _validate_all_containers(spec, volume_names, path)
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
    found += _validate_affinity(spec.get("affinity") or {}, path / "affinity")
    found += _validate_names(spec, path)
    found += _validate_tolerations(spec.get("tolerations") or [], path / "tolerations")
    found += _validate_host_aliases(spec.get("hostAliases") or [], path / "hostAliases")
    found += _validate_spread(spec.get("topologySpreadConstraints") or [], path / "topologySpreadConstraints")
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


def _validate_all_containers(spec: Object, volume_names: set[str], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    containers = spec.get("containers") or []
    seen: set[str] = set()
    if not containers:
        found.append(required(path / "containers"))
    for field in ("containers", "initContainers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or []):
            at = path / field % index
            found += _validate_container(container, volume_names, at, field, spec)
            name = container.get("name") or ""
            if name and name in seen:
                found.append(duplicate(at / "name", name))
            seen.add(name)
    return found


def _validate_container(
    container: Object, volume_names: set[str], path: FieldPath, field: str, spec: Object
) -> list[FieldError]:
    found: list[FieldError] = []
    name = container.get("name") or ""
    if not name:
        found.append(required(path / "name"))
    else:
        found += [invalid(path / "name", name, text) for text in names.dns_label_errors(name)]
    image = container.get("image") or ""
    if not image:
        found.append(required(path / "image"))
    elif image != image.strip():
        found.append(invalid(path / "image", image, "must not have leading or trailing whitespace"))
    policy = container.get("terminationMessagePolicy")
    if policy not in ("FallbackToLogsOnError", "File"):
        at = path / "terminationMessagePolicy"
        found.append(not_supported(at, policy, ("FallbackToLogsOnError", "File")))
    found += _validate_ports(container.get("ports") or [], path / "ports")
    found += _validate_env(container.get("env") or [], path / "env")
    found += _validate_env_from(container.get("envFrom") or [], path / "envFrom")
    found += _validate_mounts(container.get("volumeMounts") or [], volume_names, path / "volumeMounts")
    found += _validate_devices(container.get("volumeDevices") or [], volume_names, path / "volumeDevices")
    pull = container.get("imagePullPolicy")
    if pull not in PULL_POLICIES:
        at = path / "imagePullPolicy"
        found.append(required(at) if not pull else not_supported(at, pull, PULL_POLICIES))
    found += validate_resources(container.get("resources") or {}, path / "resources")
    found += _validate_container_security(container.get("securityContext") or {}, path / "securityContext")
    found += _validate_probes(container, path, field)
    return found


def _validate_ports(ports: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, port in enumerate(ports):
        at = path % index
        name = port.get("name") or ""
        if name:
            problems = names.port_name_errors(name)
            found += [invalid(at / "name", name, text) for text in problems]
            if not problems and name in seen:
                found.append(duplicate(at / "name", name))
            seen.add(name)
        if not port.get("containerPort"):
            found.append(required(at / "containerPort"))
        else:
            found += port_number_errors(at / "containerPort", port["containerPort"])
        if port.get("hostPort"):
            found += port_number_errors(at / "hostPort", port["hostPort"])
        protocol = port.get("protocol")
        if protocol not in PROTOCOLS:
            found.append(
                required(at / "protocol")
                if not protocol
                else not_supported(at / "protocol", protocol, PROTOCOLS)
            )
    return found


_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def _validate_env(env: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, variable in enumerate(env):
        at = path % index
        name = variable.get("name") or ""
        if not name:
            found.append(required(at / "name"))
        elif "=" in name or not name.isprintable():
            found.append(invalid(at / "name", name, _ENV_NAME_RULE))
        source = variable.get("valueFrom")
        if source is None:
            continue
        given = [field for field in _ENV_SOURCES if source.get(field) is not None]
        if not given:
            what = "must specify one of: " + ", ".join(f"`{each}`" for each in _ENV_SOURCES[:-1])
            what += f" or `{_ENV_SOURCES[-1]}`"
            found.append(invalid(at / "valueFrom", "", what))
        elif variable.get("value"):
            found.append(invalid(at / "valueFrom", "", "may not be specified when `value` is not empty"))
        elif len(given) > 1:
            found.append(
                invalid(at / "valueFrom", "", "may not have more than one field specified at a time")
            )
        for field in ("configMapKeyRef", "secretKeyRef"):
            reference = source.get(field)
            if reference is None:
                continue
            key = reference.get("key") or ""
            if not key:
                found.append(required(at / "valueFrom" / field / "key"))
            else:
                where = at / "valueFrom" / field / "key"
                found += [invalid(where, key, text) for text in names.config_key_errors(key)]
    return found


_ENV_NAME_RULE = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)


def _validate_env_from(sources: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, source in enumerate(sources):
        at = path % index
        prefix = source.get("prefix") or ""
        if "=" in prefix or not prefix.isprintable():
            found.append(invalid(at / "prefix", prefix, _ENV_NAME_RULE))
        given = [field for field in ("configMapRef", "secretRef") if source.get(field) is not None]
        if len(given) != 1:
            what = (
                "must specify one of: `configMapRef` or `secretRef`"
                if not given
                else "may not have more than one field specified at a time"
            )
            found.append(invalid(at, "", what))
        for field in given:
            if not source[field].get("name"):
                found.append(required(at / field / "name"))
    return found


def _validate_mounts(mounts: list[Object], volume_names: set[str], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at = path % index
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            found.append(required(at / "name"))
        elif name not in volume_names:
            found.append(not_found(at / "name", name))
        if not where:
            found.append(required(at / "mountPath"))
        elif where in seen:
            found.append(invalid(at / "mountPath", where, "must be unique"))
        seen.add(where)
        for field in ("subPath", "subPathExpr"):
            value = mount.get(field) or ""
            if value.startswith("/"):
                found.append(invalid(at / field, value, "must be a relative path"))
            if ".." in value.split("/"):
                found.append(invalid(at / field, value, "must not contain '..'"))
        if mount.get("subPath") and mount.get("subPathExpr"):
            found.append(
                invalid(
                    at / "subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"
                )
            )
        propagation = mount.get("mountPropagation")
        allowed = ("Bidirectional", "HostToContainer", "None")
        if propagation and propagation not in allowed:
            found.append(not_supported(at / "mountPropagation", propagation, allowed))
    return found


def _validate_devices(devices: list[Object], volume_names: set[str], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, device in enumerate(devices):
        at = path % index
        if not device.get("name"):
            found.append(required(at / "name"))
        elif device["name"] not in volume_names:
            found.append(not_found(at / "name", device["name"]))
        if not device.get("devicePath"):
            found.append(required(at / "devicePath"))
    return found


def validate_resources(resources: Object, path: FieldPath) -> list[FieldError]:
    """Names, amounts, and no request above its limit."""
    found: list[FieldError] = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            at = (path / part).key(name)
            found += _validate_resource_name(name, at)
            if quantity.milli_value(amount) < 0:
                found.append(invalid(at, amount, _NOT_NEGATIVE))
            elif "/" in name and quantity.milli_value(amount) % 1000:
                found.append(invalid(at, amount, "must be an integer"))
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.milli_value(amount) > quantity.milli_value(limit):
            what = f"must be less than or equal to {name} limit of {limit}"
            found.append(invalid(path / "requests", amount, what))
        elif limit is not None and _is_extended(name) and amount != limit:
            found.append(invalid(path / "requests", amount, f"must be equal to {name} limit of {limit}"))
        elif limit is None and _is_extended(name):
            found.append(required(path / "limits", "Limit must be set for non overcommitable resources"))
    return found


def _validate_resource_name(name: str, at: FieldPath) -> list[FieldError]:
    problems = names.qualified_name_errors(name)
    if problems:
        return [invalid(at, name, text) for text in problems]
    if "/" not in name and name not in _STANDARD_RESOURCES and not name.startswith("hugepages-"):
        standard = "must be a standard resource type or fully qualified"
        return [invalid(at, name, standard), invalid(at, name, "must be a standard resource for containers")]
    return []


def _is_extended(name: str) -> bool:
    return "/" in name and not name.startswith(("kubernetes.io/", "requests."))


def _validate_container_security(security: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for field in ("runAsUser", "runAsGroup"):
        if (security.get(field) or 0) < 0:
            found.append(
                invalid(path / field, security[field], "must be between 0 and 2147483647, inclusive")
            )
    if security.get("allowPrivilegeEscalation") is False:
        if security.get("privileged"):
            what = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(invalid(path, security, what))
        if "CAP_SYS_ADMIN" in ((security.get("capabilities") or {}).get("add") or []):
            what = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(invalid(path, security, what))
    return found


def _validate_probes(container: Object, path: FieldPath, field: str) -> list[FieldError]:
    found: list[FieldError] = []
    restartable = container.get("restartPolicy") == "Always"
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        if field == "initContainers" and not restartable:
            why = "must not be set for init containers without restartPolicy=Always"
            found.append(forbidden(path / name, why))
            continue
        found += validate_handler(probe, path / name)
        for number in (
            "initialDelaySeconds",
            "timeoutSeconds",
            "periodSeconds",
            "successThreshold",
            "failureThreshold",
        ):
            if (probe.get(number) or 0) < 0:
                found.append(invalid(path / name / number, probe[number], _NOT_NEGATIVE))
        if name != "readinessProbe" and (probe.get("successThreshold") or 1) != 1:
            found.append(invalid(path / name / "successThreshold", probe["successThreshold"], "must be 1"))
    lifecycle = container.get("lifecycle")
    if lifecycle and field == "initContainers" and not restartable:
        found.append(
            forbidden(path / "lifecycle", "may not be set for init containers without restartPolicy=Always")
        )
    elif lifecycle:
        for name in ("postStart", "preStop"):
            if lifecycle.get(name) is not None:
                found += validate_handler(lifecycle[name], path / "lifecycle" / name)
    return found


def validate_handler(handler: Object, path: FieldPath) -> list[FieldError]:
    """A probe or a hook names exactly one thing to do."""
    given = [
        kind for kind in ("exec", "httpGet", "tcpSocket", "grpc", "sleep") if handler.get(kind) is not None
    ]
    found: list[FieldError] = []
    if not given:
        return [required(path, "must specify a handler type")]
    found += [forbidden(path / kind, "may not specify more than 1 handler type") for kind in given[1:]]
    kind, action = given[0], handler[given[0]]
    if kind == "exec" and not action.get("command"):
        found.append(required(path / "exec" / "command"))
    if kind in ("httpGet", "tcpSocket", "grpc"):
        port = action.get("port")
        if isinstance(port, int):
            found += port_number_errors(path / kind / "port", port)
        elif isinstance(port, str):
            found += [invalid(path / kind / "port", port, text) for text in names.port_name_errors(port)]
        else:
            found.append(required(path / kind / "port"))
    if kind == "httpGet":
        if not action.get("path"):
            found.append(required(path / "httpGet" / "path"))
        if action.get("scheme") not in ("HTTP", "HTTPS"):
            found.append(not_supported(path / "httpGet" / "scheme", action.get("scheme"), ("HTTP", "HTTPS")))
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


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _validate_tolerations(tolerations: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, toleration in enumerate(tolerations):
        at = path % index
        key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
        effect, value = toleration.get("effect") or "", toleration.get("value") or ""
        if key:
            found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
        elif operator != "Exists":
            what = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            found.append(invalid(at / "operator", operator, what))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            found.append(
                invalid(at / "effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
            )
        if operator == "Exists" and value:
            found.append(invalid(at / "operator", value, "value must be empty when `operator` is 'Exists'"))
        elif operator == "Equal":
            found += [invalid(at / "operator", value, text) for text in names.label_value_errors(value)]
        elif operator not in ("Exists", "Equal", "Lt", "Gt"):
            found.append(not_supported(at / "operator", operator, ("Equal", "Exists")))
        if effect and effect not in _EFFECTS:
            found.append(not_supported(at / "effect", effect, _EFFECTS))
    return found


_NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")


def _validate_affinity(affinity: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    node = affinity.get("nodeAffinity") or {}
    hard = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if hard is not None:
        at = path / "nodeAffinity" / "requiredDuringSchedulingIgnoredDuringExecution" / "nodeSelectorTerms"
        if not hard.get("nodeSelectorTerms"):
            found.append(required(at, "must have at least one node selector term"))
        for index, term in enumerate(hard.get("nodeSelectorTerms") or []):
            found += _validate_node_term(term, at % index)
    for index, preference in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
        at = path / "nodeAffinity" / "preferredDuringSchedulingIgnoredDuringExecution" % index
        found += _validate_weight(preference, at)
        found += _validate_node_term(preference.get("preference") or {}, at / "preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(kind) or {}
        for index, term in enumerate(part.get("requiredDuringSchedulingIgnoredDuringExecution") or []):
            at = path / kind / "requiredDuringSchedulingIgnoredDuringExecution" % index
            found += _validate_pod_term(term, at)
        for index, weighted in enumerate(part.get("preferredDuringSchedulingIgnoredDuringExecution") or []):
            at = path / kind / "preferredDuringSchedulingIgnoredDuringExecution" % index
            found += _validate_weight(weighted, at)
            found += _validate_pod_term(weighted.get("podAffinityTerm") or {}, at / "podAffinityTerm")
    return found


def _validate_weight(weighted: Object, path: FieldPath) -> list[FieldError]:
    weight = weighted.get("weight") or 0
    return [] if 1 <= weight <= 100 else [invalid(path / "weight", weight, "must be in the range 1-100")]


def _validate_node_term(term: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, expression in enumerate(term.get("matchExpressions") or []):
        at = path / "matchExpressions" % index
        operator, values = expression.get("operator") or "", expression.get("values") or []
        if operator in ("In", "NotIn") and not values:
            found.append(required(at / "values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist") and values:
            found.append(
                forbidden(at / "values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
            )
        elif operator in ("Gt", "Lt") and len(values) != 1:
            found.append(
                required(at / "values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
            )
        elif operator not in _NODE_OPERATORS:
            found.append(invalid(at / "operator", operator, "not a valid selector operator"))
        key = expression.get("key") or ""
        found += [invalid(at / "key", key, text) for text in names.qualified_name_errors(key)]
    return found


def _validate_pod_term(term: Object, path: FieldPath) -> list[FieldError]:
    found = validate_label_selector(term.get("labelSelector"), path / "labelSelector")
    key = term.get("topologyKey") or ""
    if not key:
        found.append(required(path / "topologyKey", "can not be empty"))
    else:
        found += [invalid(path / "topologyKey", key, text) for text in names.qualified_name_errors(key)]
    return found


def _validate_spread(constraints: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, constraint in enumerate(constraints):
        at = path % index
        if (constraint.get("maxSkew") or 0) <= 0:
            found.append(invalid(at / "maxSkew", constraint.get("maxSkew") or 0, "must be greater than zero"))
        key = constraint.get("topologyKey") or ""
        if not key:
            found.append(required(at / "topologyKey", "can not be empty"))
        action = constraint.get("whenUnsatisfiable") or ""
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            found.append(not_supported(at / "whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if (key, action) in seen:
            found.append(duplicate(at / "{topologyKey, whenUnsatisfiable}", f"{{{key}, {action}}}"))
        seen.add((key, action))
        minimum = constraint.get("minDomains")
        if minimum is not None and minimum <= 0:
            found.append(invalid(at / "minDomains", minimum, "must be greater than zero"))
        found += validate_label_selector(constraint.get("labelSelector"), at / "labelSelector")
    return found
