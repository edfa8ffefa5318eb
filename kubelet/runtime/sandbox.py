"""A pod and its options -> the sandbox configuration of the CRI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import (
    Object,
    annotations_of,
    labels_of,
    name_of,
    namespace_of,
    spec_of,
    uid_of,
)
from kubelet.runtime import interface
from kubelet.runtime.inputs import SandboxOptions
from kubelet.runtime.interface import SandboxConfig


def sandbox_config(pod: Object, options: SandboxOptions, attempt: int) -> SandboxConfig:
    """Everything that the runtime must know to make the sandbox."""
    spec = spec_of(pod)
    config: SandboxConfig = {
        "metadata": {
            "name": name_of(pod),
            "namespace": namespace_of(pod),
            "uid": uid_of(pod),
            "attempt": attempt,
        },
        "log_directory": options.log_directory,
        "dns_config": {key: list(value) for key, value in options.dns.items()},
        "labels": {**labels_of(pod), **identity_labels(pod)},
        "annotations": dict(annotations_of(pod)),
        "linux": {
            "cgroup_parent": options.cgroup_parent,
            "security_context": _security(pod, options.user_ids),
            "sysctls": {one["name"]: one["value"] for one in _pod_security(pod).get("sysctls") or []},
            "resources": dict(options.resources),
            "overhead": dict(options.overhead),
        },
    }
    # The node's network means the node's name: a host name would need a UTS namespace of its own.
    if not spec.get("hostNetwork"):
        config["hostname"] = options.hostname
        config["port_mappings"] = _port_mappings(pod)
    return config


def identity_labels(pod: Object) -> dict[str, str]:
    """Labels by which a later kubelet finds out whose sandbox or container it sees."""
    return {
        interface.POD_NAME: name_of(pod),
        interface.POD_NAMESPACE: namespace_of(pod),
        interface.POD_UID: uid_of(pod),
    }


def _pod_security(pod: Object) -> Object:
    return spec_of(pod).get("securityContext") or {}


def _security(pod: Object, user_ids: Sequence[Mapping[str, int]]) -> dict[str, Any]:
    context = _pod_security(pod)
    security: dict[str, Any] = {
        "namespace_options": namespace_options(pod, user_ids=user_ids),
        "privileged": _has_privileged(pod),
        "seccomp": seccomp_profile({"type": "RuntimeDefault"}, ""),
        "supplemental_groups": list(context.get("supplementalGroups") or []),
    }
    if context.get("fsGroup") is not None:
        security["supplemental_groups"].append(context["fsGroup"])
    if context.get("runAsUser") is not None:
        security["run_as_user"] = {"value": context["runAsUser"]}
        if context.get("runAsGroup") is not None:
            security["run_as_group"] = {"value": context["runAsGroup"]}
    security |= selinux_options(context)
    if security["privileged"]:
        security["seccomp"] = {"profile_type": "Unconfined"}
    return security


def namespace_options(
    pod: Object, target: str = "", user_ids: Sequence[Mapping[str, int]] = ()
) -> dict[str, Any]:
    """Which namespaces are the node's, the pod's or the container's own."""
    spec = spec_of(pod)
    options: dict[str, Any] = {
        "network": "NODE" if spec.get("hostNetwork") else "POD",
        "ipc": "NODE" if spec.get("hostIPC") else "POD",
        "pid": "NODE" if spec.get("hostPID") else "POD" if spec.get("shareProcessNamespace") else "CONTAINER",
    }
    if user_ids:
        ids = [dict(one) for one in user_ids]
        options["userns_options"] = {"mode": "POD", "uids": ids, "gids": ids}
    if target:
        options |= {"pid": "TARGET", "target_id": target}
    return options


def seccomp_profile(profile: Object | None, directory: str) -> dict[str, str]:
    """A `SeccompProfile` in the runtime's words; absent means unconfined."""
    match (profile or {}).get("type"):
        case "RuntimeDefault":
            return {"profile_type": "RuntimeDefault"}
        case "Localhost":
            return {
                "profile_type": "Localhost",
                "localhost_ref": f"{directory}/{(profile or {})['localhostProfile']}",
            }
    return {"profile_type": "Unconfined"}


def selinux_options(*contexts: Object) -> dict[str, Any]:
    """`seLinuxOptions` of the first that has them."""
    for context in contexts:
        if context.get("seLinuxOptions"):
            return {"selinux_options": dict(context["seLinuxOptions"])}
    return {}


def _has_privileged(pod: Object) -> bool:
    return any(
        (container.get("securityContext") or {}).get("privileged")
        for container in pod_containers.all_containers(pod)
    )


def _port_mappings(pod: Object) -> list[dict[str, Any]]:
    sidecars_and_containers = [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]
    return [
        {
            "protocol": port.get("protocol") or "TCP",
            "container_port": port["containerPort"],
            "host_port": port["hostPort"],
            "host_ip": port.get("hostIP") or "",
        }
        for container in sidecars_and_containers
        for port in container.get("ports") or []
        if port.get("hostPort")
    ]
