"""What makes a container of a pod invalid: names, ports, variables, mounts, resources, probes, in field order."""

from __future__ import annotations

from collections.abc import Collection

from kubarium.api.core.pod.probe_validation import validate_probes
from kubarium.api.core.pod.security_validation import validate_container_security
from kubarium.api.core.pod.source_validation import validate_env, validate_env_from
from kubarium.api.core.service import PROTOCOLS
from kubarium.apimachinery import names, quantity, rules
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
    too_many,
)
from kubarium.apimachinery.object import Object

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_BESIDE = ("containers", "initContainers")
_NOT_NEGATIVE = "must be greater than or equal to 0"
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def validate_containers(spec: Object, volume_names: set[str], path: FieldPath) -> list[FieldError]:
    """All containers of a pod: there is one, each is valid, no name stands twice."""
    found: list[FieldError] = []
    containers = spec.get("containers") or []
    seen: set[str] = set()
    if not containers:
        found.append(required(path / "containers"))
    beside = {container.get("name") for field in _BESIDE for container in spec.get(field) or []}
    for field in (*_BESIDE, "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or []):
            at = path / field % index
            target = container.get("targetContainerName")
            if target and target not in beside:
                found.append(not_found(at / "targetContainerName", target))
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
        found.append(not_supported(at, policy, ("File", "FallbackToLogsOnError")))
    found += _validate_ports(container.get("ports") or [], path / "ports")
    found += validate_env(container.get("env") or [], path / "env")
    found += validate_env_from(container.get("envFrom") or [], path / "envFrom")
    found += _validate_mounts(container.get("volumeMounts") or [], volume_names, path / "volumeMounts")
    found += _validate_devices(container.get("volumeDevices") or [], volume_names, path / "volumeDevices")
    pull = container.get("imagePullPolicy")
    if pull not in PULL_POLICIES:
        at = path / "imagePullPolicy"
        found.append(required(at) if not pull else not_supported(at, pull, PULL_POLICIES))
    resources = container.get("resources") or {}
    found += validate_resources(resources, path / "resources")
    found += _validate_claims(resources, spec, path / "resources" / "claims")
    if field != "ephemeralContainers":
        found += _validate_resize_policies(container, path / "resizePolicy", field, spec)
    found += _validate_restarts(container, path, field)
    found += validate_container_security(
        container.get("securityContext") or {}, path / "securityContext", spec
    )
    if field == "ephemeralContainers":
        return found + _validate_ephemeral(container, path)
    return found + validate_probes(container, path, field, spec.get("terminationGracePeriodSeconds") or 0)
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
            found += rules.port_number(at / "containerPort", port["containerPort"])
        if port.get("hostPort"):
            found += rules.port_number(at / "hostPort", port["hostPort"])
        protocol = port.get("protocol")
        if protocol not in PROTOCOLS:
            found.append(
                required(at / "protocol")
                if not protocol
                else not_supported(at / "protocol", protocol, PROTOCOLS)
            )
    return found


def _validate_mounts(mounts: list[Object], volume_names: set[str], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        at = path % index
        name, where = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            found.append(required(at / "name"))
        if name not in volume_names:
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
        if propagation is not None and propagation not in allowed:  # upstream does not say of which mount
            found.append(not_supported(path / "mountPropagation", propagation, allowed))
    return found


def _validate_devices(devices: list[Object], volume_names: set[str], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for index, device in enumerate(devices):
        at = path % index
        if not device.get("name"):
            found.append(required(at / "name"))
        if (device.get("name") or "") not in volume_names:
            found.append(not_found(at / "name", device.get("name") or ""))
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
            found += container_name_errors(name, at)
            if quantity.milli_value(amount) < 0:
                found.append(invalid(at, amount, _NOT_NEGATIVE))
            elif "/" in name and quantity.milli_value(amount) % 1000:
                found.append(invalid(at, amount, "must be an integer"))
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.milli_value(amount) > quantity.milli_value(limit):
            what = f"must be less than or equal to {name} limit of {limit}"
            found.append(invalid(path / "requests", amount, what))
        elif limit is not None and is_extended(name) and amount != limit:
            found.append(invalid(path / "requests", amount, f"must be equal to {name} limit of {limit}"))
        elif limit is None and is_extended(name):
            found.append(required(path / "limits", "Limit must be set for non overcommitable resources"))
    return found


def resource_name_errors(name: str, at: FieldPath) -> list[FieldError]:
    """A qualified name; without a domain it is one of the standard resources."""
    problems = [invalid(at, name, text) for text in names.qualified_name_errors(name)]
    if not problems and "/" not in name and not _is_standard(name, _STANDARD):
        return [invalid(at, name, "must be a standard resource type or fully qualified")]
    return problems


def container_name_errors(name: str, at: FieldPath) -> list[FieldError]:
    """Something that a container can use: standard, or an extended resource."""
    found = resource_name_errors(name, at)
    if "/" not in name:
        if not _is_standard(name, _STANDARD_RESOURCES):
            found.append(invalid(at, name, "must be a standard resource for containers"))
    elif "kubernetes.io/" not in name and not is_extended(name):
        found.append(invalid(at, name, "doesn't follow extended resource name standard"))
    return found


def _is_standard(name: str, known: Collection[str]) -> bool:
    return name in known or name.startswith("hugepages-")


_STANDARD = frozenset({
    "cpu", "memory", "ephemeral-storage", "storage", "requests.cpu", "requests.memory", "requests.storage",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage", *rules.COUNTED,
})  # fmt: skip
"""What may be named without a domain anywhere."""


def is_extended(name: str) -> bool:
    """A resource of someone else, which nodes offer in whole pieces."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def _validate_claims(resources: Object, spec: Object, path: FieldPath) -> list[FieldError]:
    """Devices of claims that the pod has."""
    known = {claim.get("name") for claim in spec.get("resourceClaims") or []}
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for index, claim in enumerate(resources.get("claims") or []):
        name, request = claim.get("name") or "", claim.get("request") or ""
        if not name:
            found.append(required(path % index / "name"))
        elif name not in known:
            found.append(not_found(path % index, name))
        if (name, request) in seen:
            found.append(duplicate(path % index, f"{name}/{request}" if request else name))
        seen.add((name, request))
    return found


_RESTART_POLICIES = ("Always", "Never", "OnFailure")
MOST_RESTART_RULES, MOST_EXIT_CODES = 20, 255


def _validate_resize_policies(
    container: Object, path: FieldPath, field: str, spec: Object
) -> list[FieldError]:
    """What a resize does to the container, for cpu and for memory."""
    policies = container.get("resizePolicy") or []
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        name, action = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if name in seen:
            found.append(duplicate(path % index, name))
        seen.add(name)
        found += rules.one_of(path, name, ("cpu", "memory"))
        found += rules.one_of(path, action, ("NotRequired", "RestartContainer"))
        if spec.get("restartPolicy") == "Never" and action != "NotRequired":
            text = "must be 'NotRequired' when `restartPolicy` is 'Never'"
            found.append(invalid(path, action, text))
    if policies and field == "initContainers" and container.get("restartPolicy") != "Always":
        found.append(invalid(path, policies, "must not be set for init containers"))
    return found


def _validate_restarts(container: Object, path: FieldPath, field: str) -> list[FieldError]:
    """A container's own restart policy and its rules about exit codes."""
    policy, listed = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if field == "ephemeralContainers":
        return []
    found = rules.if_one_of(path / "restartPolicy", policy, _RESTART_POLICIES)
    at = path / "restartPolicyRules"
    if listed and policy is None:
        found.append(
            required(path / "restartPolicy", "must specify restartPolicy when restart rules are used")
        )
    if len(listed) > MOST_RESTART_RULES:
        return [*found, too_many(at, len(listed), MOST_RESTART_RULES)]
    for index, rule in enumerate(listed):
        actions = ("Restart", "RestartAllContainers")
        found += rules.one_of(at % index / "action", rule.get("action"), actions)
        codes = rule.get("exitCodes")
        if codes is None:
            found.append(required(at % index / "exitCodes", "must be specified"))
            continue
        where = at % index / "exitCodes"
        found += rules.one_of(where / "operator", codes.get("operator"), ("In", "NotIn"))
        if not codes.get("values"):
            found.append(invalid(where / "values", codes.get("values"), "must specify at least one value"))
        elif len(codes["values"]) > MOST_EXIT_CODES:
            found.append(too_many(where / "values", len(codes["values"]), MOST_EXIT_CODES))
    return found


_NOT_EPHEMERAL = (
    "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy",
    "restartPolicy", "restartPolicyRules",
)  # fmt: skip


def _validate_ephemeral(container: Object, path: FieldPath) -> list[FieldError]:
    """Containers that only look in have no ports, probes, hooks or resources."""
    why = "cannot be set for an Ephemeral Container"
    found = [forbidden(path / field, why) for field in _NOT_EPHEMERAL if container.get(field)]
    for index, mount in enumerate(container.get("volumeMounts") or []):
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                found.append(forbidden(path / "volumeMounts" % index / field, why))
    return found
