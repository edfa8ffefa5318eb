"""Sandboxes and containers in the words of the CRI -> what the Docker Engine wants to hear. Pure functions.

What the engine has no field for is kept in labels, under the names that the dockershim of old used: annotations with
a prefix, the kind of thing, the sandbox that a container belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from kubelet.runtime.interface import ContainerConfig, SandboxConfig

KIND = "io.kubernetes.docker.type"
SANDBOX, CONTAINER = "podsandbox", "container"
SANDBOX_ID = "io.kubernetes.sandbox.id"
LOG_PATH = "io.kubernetes.container.logpath"
ASKED_IMAGE = "io.kubernetes.container.image"
CONTAINER_NAME = "io.kubernetes.container.name"
ANNOTATION = "annotation."
INTERNAL = frozenset((KIND, SANDBOX_ID, LOG_PATH, ASKED_IMAGE))

PROPAGATION = {"PROPAGATION_HOST_TO_CONTAINER": "rslave", "PROPAGATION_BIDIRECTIONAL": "rshared"}
# The engine rotates these files by itself, a little before the kubelet would.
LOGS = {"Type": "json-file", "Config": {"max-size": "9m", "max-file": "5"}}
RESOURCES = {
    "cpu_shares": "CpuShares",
    "cpu_quota": "CpuQuota",
    "cpu_period": "CpuPeriod",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory_limit_in_bytes": "Memory",
    "memory_swap_limit_in_bytes": "MemorySwap",
}


def sandbox_name(metadata: Mapping[str, Any]) -> str:
    """The engine keeps names unique, and so an attempt is made once."""
    return _name("POD", metadata, metadata.get("attempt", 0))


def container_name(config: ContainerConfig, sandbox: SandboxConfig) -> str:
    """Names the container after its pod."""
    metadata = config["metadata"]
    return _name(metadata["name"], sandbox["metadata"], metadata.get("attempt", 0))


def view_name(key: str) -> str:
    """The container that holds an image while its files are mounted somewhere."""
    return f"image-view-{hashlib.sha256(key.encode()).hexdigest()[:32]}"


def parse_name(name: str) -> tuple[str, str, str, str, int]:
    """Container, pod, namespace, uid, attempt; empty when the name is not of this make."""
    parts = name.lstrip("/").split("_")
    if len(parts) != 6 or parts[0] != "k8s" or not parts[5].isdigit():
        return "", "", "", "", 0
    return parts[1], parts[2], parts[3], parts[4], int(parts[5])


def sandbox_body(config: SandboxConfig, image: str) -> dict[str, Any]:
    """What to create for a sandbox: a container that does nothing but hold namespaces."""
    linux = config.get("linux") or {}
    security = linux.get("security_context") or {}
    namespaces = security.get("namespace_options") or {}
    on_node = namespaces.get("network") == "NODE"
    host = {
        "NetworkMode": "host" if on_node else "none",
        "IpcMode": "host" if namespaces.get("ipc") == "NODE" else "shareable",
        "PidMode": "host" if namespaces.get("pid") == "NODE" else "",
        "UTSMode": "host" if on_node else "",
        "CgroupParent": linux.get("cgroup_parent", ""),
        "Sysctls": dict(linux.get("sysctls") or {}),
        "LogConfig": LOGS,
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges"],
    }
    labels = _labels(config, SANDBOX) | {CONTAINER_NAME: "POD"}
    return {
        "Image": image,
        "Hostname": "" if on_node else config.get("hostname", ""),
        "Labels": labels,
        "HostConfig": host,
    }


def seccomp_file(config: ContainerConfig) -> str:
    """The node's own seccomp profile that the container wants, if it wants one."""
    profile = _security(config).get("seccomp") or {}
    return str(profile["localhost_ref"]) if profile.get("profile_type") == "Localhost" else ""


def container_body(
    sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig, seccomp_text: str = ""
) -> dict[str, Any]:
    """What to create for a container."""
    image = config["image"]
    labels = _labels(config, CONTAINER) | {
        CONTAINER_NAME: config["metadata"]["name"],
        SANDBOX_ID: sandbox_id,
        ASKED_IMAGE: image.get("user_specified_image") or image["image"],
    }
    if config.get("log_path"):
        labels[LOG_PATH] = f"{sandbox.get('log_directory', '')}/{config['log_path']}"
    body: dict[str, Any] = {
        "Image": image["image"],
        "WorkingDir": config.get("working_dir") or "",
        "Env": [f"{one['key']}={one['value']}" for one in config.get("envs") or []],
        "Labels": labels,
        "OpenStdin": bool(config.get("stdin")),
        "StdinOnce": bool(config.get("stdin_once")),
        "Tty": bool(config.get("tty")),
        "User": _user(_security(config)),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": _host_config(sandbox_id, config, sandbox, seccomp_text),
    }
    if config.get("command"):
        body["Entrypoint"] = list(config["command"])
    if config.get("args"):
        body["Cmd"] = list(config["args"])
    return body


def resources(found: Mapping[str, Any]) -> dict[str, Any]:
    """Limits in the engine's words."""
    return {name: found[key] for key, name in RESOURCES.items() if found.get(key)}


def annotations_of(labels: Mapping[str, str]) -> dict[str, str]:
    """The annotations among the labels."""
    return {
        key.removeprefix(ANNOTATION): value for key, value in labels.items() if key.startswith(ANNOTATION)
    }


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that the kubelet gave."""
    return {
        key: value for key, value in labels.items() if not key.startswith(ANNOTATION) and key not in INTERNAL
    }


def full_name(image: str) -> str:
    """`busybox` is `docker.io/library/busybox:latest`, as the CRI writes it."""
    if image.startswith("sha256:"):
        return image
    first, slash, _ = image.partition("/")
    if not slash:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    has_tag = "@" in image or ":" in image.rpartition("/")[2]
    return image if has_tag else f"{image}:latest"


def resolv_conf(dns: Mapping[str, Any]) -> str:
    """The text of `/etc/resolv.conf`."""
    lines = [f"nameserver {server}" for server in dns.get("servers") or []]
    if dns.get("searches"):
        lines.append(f"search {' '.join(dns['searches'])}")
    if dns.get("options"):
        lines.append(f"options {' '.join(dns['options'])}")
    return "".join(f"{line}\n" for line in lines)


def _name(what: str, pod: Mapping[str, Any], attempt: int) -> str:
    return f"k8s_{what}_{pod['name']}_{pod['namespace']}_{pod['uid']}_{attempt}"


def _labels(config: Mapping[str, Any], kind: str) -> dict[str, str]:
    kept = {f"{ANNOTATION}{key}": value for key, value in (config.get("annotations") or {}).items()}
    return {**(config.get("labels") or {}), **kept, KIND: kind}


def _security(config: ContainerConfig) -> Mapping[str, Any]:
    return (config.get("linux") or {}).get("security_context") or {}


def _host_config(
    sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig, seccomp_text: str
) -> dict[str, Any]:
    linux, security = config.get("linux") or {}, _security(config)
    limits = linux.get("resources") or {}
    capabilities = security.get("capabilities") or {}
    host: dict[str, Any] = {
        **_namespaces(sandbox_id, security.get("namespace_options") or {}),
        **resources(limits),
        "CgroupParent": (sandbox.get("linux") or {}).get("cgroup_parent", ""),
        "OomScoreAdj": limits.get("oom_score_adj", 0),
        "Mounts": [_mount(mount) for mount in config.get("mounts") or []],
        "Devices": [_device(device) for device in config.get("devices") or []],
        "LogConfig": LOGS,
        "Privileged": bool(security.get("privileged")),
        "ReadonlyRootfs": bool(security.get("readonly_rootfs")),
        "CapAdd": list(capabilities.get("add_capabilities") or []),
        "CapDrop": list(capabilities.get("drop_capabilities") or []),
        "GroupAdd": [str(group) for group in security.get("supplemental_groups") or []],
        "SecurityOpt": _security_options(security, seccomp_text),
        "RestartPolicy": {"Name": "no"},  # the kubelet decides
    }
    for key, name in (("masked_paths", "MaskedPaths"), ("readonly_paths", "ReadonlyPaths")):
        if security.get(key) is not None:
            host[name] = list(security[key])
    return host


def _namespaces(sandbox_id: str, options: Mapping[str, Any]) -> dict[str, str]:
    of_sandbox = f"container:{sandbox_id}"
    pid = {"POD": of_sandbox, "NODE": "host", "TARGET": f"container:{options.get('target_id', '')}"}
    return {
        "NetworkMode": "host" if options.get("network") == "NODE" else of_sandbox,
        "UTSMode": "host" if options.get("network") == "NODE" else "",
        "IpcMode": "host" if options.get("ipc") == "NODE" else of_sandbox,
        "PidMode": pid.get(options.get("pid", ""), ""),
    }


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": mount["host_path"],
        "Target": mount["container_path"],
        "ReadOnly": bool(mount.get("readonly")),
        "BindOptions": {"Propagation": PROPAGATION.get(mount.get("propagation", ""), "rprivate")},
    }


def _device(device: Mapping[str, Any]) -> dict[str, str]:
    return {
        "PathOnHost": device["host_path"],
        "PathInContainer": device["container_path"],
        "CgroupPermissions": device.get("permissions") or "rwm",
    }


def _security_options(security: Mapping[str, Any], seccomp_text: str) -> list[str]:
    options = ["no-new-privileges"] if security.get("no_new_privs") else []
    profile = security.get("seccomp") or {}
    if profile.get("profile_type") == "Localhost":
        options.append(f"seccomp={seccomp_text}")  # the engine wants the text, not its path
    if profile.get("profile_type") == "Unconfined":
        options.append("seccomp=unconfined")
    return options


def _user(security: Mapping[str, Any]) -> str:
    user = (security.get("run_as_user") or {}).get("value")
    name = security.get("run_as_username") or ("" if user is None else str(user))
    group = (security.get("run_as_group") or {}).get("value")
    return name if group is None else f"{name}:{group}"
