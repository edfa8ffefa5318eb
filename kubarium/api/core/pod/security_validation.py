"""What makes the security context of a pod or of a container invalid."""

from __future__ import annotations

import re
from typing import Any

from kubarium.api.core.pod import spec_text
from kubarium.apimachinery import rules
from kubarium.apimachinery.field_path import (
    FieldError,
    FieldPath,
    InOrder,
    duplicate,
    forbidden,
    invalid,
    required,
)
from kubarium.apimachinery.object import Object

_ID_RANGE = "must be between 0 and 2147483647, inclusive"
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_SYSCTL = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*([a-z0-9][-_a-z0-9]*)?[a-z0-9]")
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")

_allowed = {"privileged"}


def forbid_privileged() -> None:
    """Let no container of this process's cluster be privileged (kube-apiserver without --allow-privileged)."""
    _allowed.clear()


def validate_pod_security(spec: Object, path: FieldPath) -> list[FieldError]:
    """`spec.securityContext`, and which namespaces of the node the pod shares."""
    security = spec.get("securityContext") or {}
    at = path / "securityContext"
    found = _ids(security, at, "runAsUser", "runAsGroup", "fsGroup")
    for index, group in enumerate(security.get("supplementalGroups") or []):
        if not 0 <= group <= 2**31 - 1:
            found.append(invalid(at / "supplementalGroups" % index, group, _ID_RANGE))
    found += _profiles(security, at)
    found += rules.if_one_of(
        at / "fsGroupChangePolicy", security.get("fsGroupChangePolicy"), ("Always", "OnRootMismatch")
    )
    found += rules.if_one_of(
        at / "supplementalGroupsPolicy", security.get("supplementalGroupsPolicy"), ("Merge", "Strict")
    )
    found += _sysctls(spec, security.get("sysctls") or [], at / "sysctls")
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        why = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(invalid(path / "shareProcessNamespace", True, why))
    return found + _user_namespace(spec, path)


def validate_container_security(security: Object, path: FieldPath, spec: Object) -> list[FieldError]:
    """`securityContext` of one container of the pod with this spec."""
    found = []
    if security.get("privileged") and "privileged" not in _allowed:
        found.append(forbidden(path / "privileged", "disallowed by cluster policy"))
    found += _ids(security, path, "runAsUser", "runAsGroup")
    found += _profiles(security, path)
    mount = security.get("procMount")
    if mount is not None:
        found += rules.if_one_of(path / "procMount", mount, ("Default", "Unmasked"))
        if mount == "Unmasked" and spec.get("hostUsers") is not False:
            why = "`hostUsers` must be false to use `Unmasked`"
            found.append(invalid(path / "procMount", mount, why))
    if security.get("allowPrivilegeEscalation") is False:
        if security.get("privileged"):
            what = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(invalid(path, _shown(security), what))
        if "CAP_SYS_ADMIN" in ((security.get("capabilities") or {}).get("add") or []):
            what = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(invalid(path, _shown(security), what))
    return found


def _shown(security: Object) -> InOrder:
    return InOrder(spec_text.shown(security, "core.SecurityContext"))


def _ids(security: Object, path: FieldPath, *fields: str) -> list[FieldError]:
    return [
        invalid(path / field, security[field], _ID_RANGE)
        for field in fields
        if security.get(field) is not None and not 0 <= security[field] <= 2**31 - 1
    ]


def _profiles(security: Object, path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    for field in ("seccompProfile", "appArmorProfile"):
        if security.get(field) is not None:
            found += _profile(security[field], path / field, is_file=field == "seccompProfile")
    return found


def _profile(profile: Object, path: FieldPath, *, is_file: bool) -> list[FieldError]:
    kind, local = profile.get("type") or "", profile.get("localhostProfile")
    found: list[FieldError] = []
    if kind == "Localhost":
        found += _local_profile(local, path / "localhostProfile", is_file=is_file)
    elif local is not None:
        which = "seccomp type" if is_file else "type"
        why = f"can only be set when {which} is Localhost"
        shown = InOrder(Type=kind, LocalhostProfile=local)
        found.append(invalid(path / "localhostProfile", shown if is_file else local, why))
    if not kind:
        return [
            required(path / "type", "type is required when seccompProfile is set" if is_file else ""),
            *found,
        ]
    return [*rules.one_of(path / "type", kind, _PROFILES), *found]


def _local_profile(local: Any, path: FieldPath, *, is_file: bool) -> list[FieldError]:
    if local is None or not (local or is_file):
        why = (
            "must be set when seccomp type is Localhost"
            if is_file
            else "must be set when AppArmor type is Localhost"
        )
        return [required(path, why)]
    if not is_file:
        return []
    if local.startswith("/"):
        return [invalid(path, local, "must be a relative path")]
    return [invalid(path, local, "must not contain '..'")] if ".." in local.split("/") else []


def _sysctls(spec: Object, sysctls: list[Object], path: FieldPath) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        name = sysctl.get("name") or ""
        at = path % index / "name"
        if not name:
            found.append(required(at))
        elif not is_sysctl(name):
            rule = f"must have at most 253 characters and match regex ^{_SYSCTL.pattern}$"
            found.append(invalid(at, name, rule))
        elif name in seen:
            found.append(duplicate(at, name))
        seen.add(name)
        plain = name.replace("/", ".")
        if spec.get("hostNetwork") and plain.startswith("net."):
            found.append(invalid(at, name, "may not be specified when 'hostNetwork' is true"))
        if spec.get("hostIPC") and plain.startswith(_IPC_SYSCTLS):
            found.append(invalid(at, name, "may not be specified when 'hostIPC' is true"))
    return found


def is_sysctl(name: str) -> bool:
    """Is it a name of a kernel parameter, with dots or slashes?"""
    return len(name) <= 253 and bool(_SYSCTL.fullmatch(name))


def _user_namespace(spec: Object, path: FieldPath) -> list[FieldError]:
    """A pod with users of its own shares nothing else with the node."""
    if spec.get("hostUsers") is not False:
        return []
    why = "when `hostUsers` is false"
    return [
        forbidden(path / field, why) for field in ("hostNetwork", "hostPID", "hostIPC") if spec.get(field)
    ]
