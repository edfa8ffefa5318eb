"""What `kubectl debug` makes of a profile: rights of the container, and how a copied pod or one on a node changes.

Source: https://kubernetes.io/docs/tasks/debug/debug-application/debug-running-pod/#debugging-profiles
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from kubarium.apimachinery.object import Object, namespace_of
from kubarium.kubectl.session import CommandFailed

PROBES = ("liveness", "readiness", "startup")
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
# What the container may do; on a node "general" adds nothing.
RIGHTS: Mapping[str, Object] = {
    "legacy": {},
    "general": {"capabilities": {"add": ["SYS_PTRACE"]}},
    "baseline": {},
    "restricted": RESTRICTED,
    "netadmin": {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
    "sysadmin": {"privileged": True},
}
IN_THE_NODES_NAMESPACES = ("legacy", "general", "netadmin", "sysadmin")
WITH_THE_NODES_DISK = ("legacy", "general", "sysadmin")


def checked(profile: str) -> str:
    """The name of a profile that there is."""
    if profile not in RIGHTS:
        raise CommandFailed(f"unknown profile: {profile}")
    return profile


def with_rights(container: Object, profile: str) -> Object:
    """The container as the profile lets it be."""
    rights = deepcopy(RIGHTS[profile])
    return {**container, "securityContext": rights} if rights else container


def on_node(node: str, name: str, container: Object, profile: str) -> Object:
    """A pod on a node, in its namespaces, with all of its disk under /host; nothing keeps it away."""
    spec: Object = {"nodeName": node, "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}]}
    if profile != "general":
        container = with_rights(container, profile)
    if profile in IN_THE_NODES_NAMESPACES:
        spec |= {"hostIPC": True, "hostNetwork": True, "hostPID": True}
    if profile in WITH_THE_NODES_DISK:
        container = {**container, "volumeMounts": [{"name": "host-root", "mountPath": "/host"}]}
        spec["volumes"] = [{"name": "host-root", "hostPath": {"path": "/"}}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}},
        "spec": {**spec, "containers": [container]},
    }


def copy_of(pod: Object, container: Object | None, flags: Mapping[str, Any]) -> Object:
    """The pod under another name, with other images, and with a container that one looks with or that is changed.

    Where there is such a container the copy is for looking only: no service shall find it, no probe shall end it.
    """
    spec = deepcopy(pod["spec"])
    spec.pop("ephemeralContainers", None)
    if not flags["same_node"]:
        spec.pop("nodeName", None)
    if not flags["keep_init_containers"]:
        spec.pop("initContainers", None)
    images = dict(word.partition("=")[::2] for word in flags["images"])
    for each in (*spec["containers"], *spec.get("initContainers", ())):
        each["image"] = images.get(each["name"]) or images.get("*") or each["image"]
    given = pod["metadata"]
    kept: tuple[str, ...] = ("labels", "annotations")
    if container is not None:
        _put(spec["containers"], container, flags)
        if flags["profile"] != "legacy":
            kept = tuple(key for key in kept if flags[f"keep_{key}"])
            unwanted = [f"{probe}Probe" for probe in PROBES if not flags[f"keep_{probe}"]]
            for each in spec["containers"]:
                for probe in unwanted:
                    each.pop(probe, None)
            spec["shareProcessNamespace"] = True
        if flags["share_processes"] is not None:
            spec["shareProcessNamespace"] = flags["share_processes"]
    metadata = {key: given[key] for key in kept if key in given}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": flags["copy_to"], "namespace": namespace_of(pod), **metadata},
        "spec": spec,
    }


def _put(containers: list[Object], container: Object, flags: Mapping[str, Any]) -> None:
    """Add the container, or change the one of that name: only what was asked for."""
    there = next((each for each in containers if each["name"] == container["name"]), None)
    if there is None:
        if not container.get("image"):
            raise CommandFailed("you must specify an existing container or a new image when specifying args.")
        containers.append(with_rights(container, flags["profile"]))
        return
    if container.get("command"):
        there.pop("args", None)
    asked = {key: value for key, value in container.items() if value and key != "terminationMessagePolicy"}
    there |= with_rights(asked, flags["profile"])
