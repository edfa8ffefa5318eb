"""What makes a container of a pod invalid: names, ports, variables, mounts, resources, probes, in field order."""

from __future__ import annotations

from kubarium.api.core.service import port_number_errors
from kubarium.apimachinery import names, quantity
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)
from kubarium.apimachinery.object import Object

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_NOT_NEGATIVE = "must be greater than or equal to 0"
_STANDARD_RESOURCES = ("cpu", "memory", "ephemeral-storage")


def validate_containers(spec: Object, volume_names: set[str], path: FieldPath) -> list[FieldError]:
    """All containers of a pod: there is one, each is valid, no name stands twice."""
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
