"""A container and its options -> the container configuration of the CRI."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery.object import Object, is_deleting, name_of, namespace_of, spec_of
from kubelet.runtime import interface, plan, sandbox
from kubelet.runtime.inputs import ContainerOptions
from kubelet.runtime.interface import ContainerConfig, Image, StartError

CONFIG_ERROR = "CreateContainerConfigError"

# What a container must not see or change of the node, unless `procMount` says otherwise.
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class SeccompDefaults:
    """Where profiles of the node lie, and whether containers that name none get the runtime's."""

    directory: str
    restrict: bool = False


def container_config(
    pod: Object,
    container: Object,
    options: ContainerOptions,
    restart_count: int,
    target: str,
    seccomp: SeccompDefaults,
) -> ContainerConfig:
    """Everything that the runtime must know to make the container."""
    environment = dict(options.environment)
    return {
        "metadata": {"name": container["name"], "attempt": restart_count},
        "image": {"image": options.image_ref, "user_specified_image": container.get("image") or ""},
        "command": [expand(text, environment) for text in container.get("command") or []],
        "args": [expand(text, environment) for text in container.get("args") or []],
        "working_dir": container.get("workingDir") or "",
        "envs": [{"key": key, "value": value} for key, value in options.environment],
        "mounts": [dict(mount) for mount in options.mounts],
        "devices": [dict(device) for device in options.devices],
        "labels": {**sandbox.identity_labels(pod), interface.CONTAINER_NAME: container["name"]},
        "annotations": {**options.annotations, **remembered(pod, container, restart_count)},
        "CDI_devices": [{"name": name} for name in options.cdi_devices],
        "log_path": log_path(container["name"], restart_count),
        "stdin": bool(container.get("stdin")),
        "stdin_once": bool(container.get("stdinOnce")),
        "tty": bool(container.get("tty")),
        "linux": {
            "resources": dict(options.resources),
            "security_context": _security(pod, container, options, target, seccomp),
        },
    }


def remembered(pod: Object, container: Object, restart_count: int) -> dict[str, str]:
    """What the next kubelet must know of this container even if the pod is gone by then."""
    found = {
        interface.CONTAINER_HASH: plan.container_hash(container),
        interface.RESTART_COUNT: str(restart_count),
        interface.MEMORY_REQUEST: plan.memory_request(container),
        interface.TERMINATION_MESSAGE_PATH: container.get("terminationMessagePath") or "/dev/termination-log",
        interface.TERMINATION_MESSAGE_POLICY: container.get("terminationMessagePolicy") or "File",
    }
    grace = spec_of(pod).get("terminationGracePeriodSeconds")
    if grace is not None:
        found[interface.POD_TERMINATION_GRACE_PERIOD] = str(grace)
    if is_deleting(pod) and pod["metadata"].get("deletionGracePeriodSeconds") is not None:
        found[interface.POD_DELETION_GRACE_PERIOD] = str(pod["metadata"]["deletionGracePeriodSeconds"])
    hook = (container.get("lifecycle") or {}).get("preStop")
    if hook:
        found[interface.PRE_STOP_HANDLER] = json.dumps(hook)
    if container.get("ports"):
        found[interface.CONTAINER_PORTS] = json.dumps(container["ports"])
    return found


def log_path(name: str, restart_count: int) -> str:
    """Where the log lies below the pod's log directory."""
    return f"{name}/{restart_count}.log"


def expand(text: str, environment: dict[str, str]) -> str:
    """Replace `$(NAME)` where the name is known; `$$` stands for one dollar."""
    out: list[str] = []
    position = 0
    while position < len(text):
        following = text[position + 1 : position + 2]
        if text[position] != "$" or not following:
            out.append(text[position])
            position += 1
        elif following == "$":
            out.append("$")
            position += 2
        elif following == "(" and (end := text.find(")", position)) >= 0:
            name = text[position + 2 : end]
            out.append(environment.get(name, text[position : end + 1]))
            position = end + 1
        else:
            out.append(text[position : position + 2])
            position += 2
    return "".join(out)


def _security(
    pod: Object, container: Object, options: ContainerOptions, target: str, seccomp: SeccompDefaults
) -> dict[str, Any]:
    pod_context = spec_of(pod).get("securityContext") or {}
    own = container.get("securityContext") or {}
    check_non_root(pod, container, options.image)
    groups = [*(pod_context.get("supplementalGroups") or []), *options.supplemental_groups]
    if pod_context.get("fsGroup") is not None:
        groups.append(pod_context["fsGroup"])
    capabilities = own.get("capabilities") or {}
    privileged = bool(own.get("privileged"))
    context: dict[str, Any] = {
        "privileged": privileged,
        "namespace_options": sandbox.namespace_options(pod, target, options.user_ids),
        "readonly_rootfs": bool(own.get("readOnlyRootFilesystem")),
        "no_new_privs": own.get("allowPrivilegeEscalation") is False,
        "supplemental_groups": groups,
        "capabilities": {
            "add_capabilities": list(capabilities.get("add") or []),
            "drop_capabilities": list(capabilities.get("drop") or []),
        },
        "seccomp": sandbox.seccomp_profile(
            _profile(pod_context, own, privileged, seccomp), seccomp.directory
        ),
    }
    context |= sandbox.selinux_options(own, pod_context)
    apparmor = own.get("appArmorProfile") or pod_context.get("appArmorProfile")
    if apparmor:
        context["apparmor"] = _apparmor_profile(apparmor)
    if pod_context.get("supplementalGroupsPolicy") == "Strict":
        context["supplemental_groups_policy"] = "Strict"
    if own.get("procMount") != "Unmasked" and not privileged:
        context |= {"masked_paths": list(MASKED_PATHS), "readonly_paths": list(READONLY_PATHS)}
    context |= _user(pod_context, own, options.image)
    return context


def _profile(pod_context: Object, own: Object, privileged: bool, seccomp: SeccompDefaults) -> Object | None:
    if privileged:
        return None
    default = {"type": "RuntimeDefault"} if seccomp.restrict else None
    return own.get("seccompProfile") or pod_context.get("seccompProfile") or default


def _apparmor_profile(profile: Object) -> dict[str, str]:
    """A profile of the node is named, not a file of it."""
    if profile["type"] == "Localhost":
        return {"profile_type": "Localhost", "localhost_ref": profile["localhostProfile"]}
    return {"profile_type": profile["type"]}


def _user(pod_context: Object, own: Object, image: Image | None) -> dict[str, Any]:
    user: dict[str, Any] = {}
    wanted = own.get("runAsUser", pod_context.get("runAsUser"))
    if wanted is not None:
        user["run_as_user"] = {"value": wanted}
    elif image is not None and image.uid is not None:
        user["run_as_user"] = {"value": image.uid}
    elif image is not None and image.username:
        user["run_as_username"] = image.username
    group = own.get("runAsGroup", pod_context.get("runAsGroup"))
    if group is not None:
        user["run_as_group"] = {"value": group}
        user.setdefault("run_as_user", {"value": 0})  # the runtime takes a group only beside a user
        if "run_as_username" in user:
            del user["run_as_user"]
    return user


def check_non_root(pod: Object, container: Object, image: Image | None) -> None:
    """`runAsNonRoot` is a promise that is checked before the container is made. Raises StartError."""
    pod_context = spec_of(pod).get("securityContext") or {}
    own = container.get("securityContext") or {}
    if not own.get("runAsNonRoot", pod_context.get("runAsNonRoot")):
        return
    where = f'(pod: "{name_of(pod)}_{namespace_of(pod)}({pod["metadata"].get("uid")})", container: {container["name"]})'
    user = own.get("runAsUser", pod_context.get("runAsUser"))
    if user is not None:
        if user == 0:
            raise StartError(CONFIG_ERROR, f"container's runAsUser breaks non-root policy {where}")
        return
    if image is None or image.uid == 0 or (image.uid is None and not image.username):
        raise StartError(CONFIG_ERROR, f"container has runAsNonRoot and image will run as root {where}")
    if image.uid is None:
        raise StartError(
            CONFIG_ERROR,
            f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
            f"cannot verify user is non-root {where}",
        )


def target_of(pod: Object, container: Object) -> str:
    """The container whose process namespace an ephemeral container wants to share."""
    return container.get("targetContainerName") or "" if pod_containers.is_ephemeral(pod, container) else ""
