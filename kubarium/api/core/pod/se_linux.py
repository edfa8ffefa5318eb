"""SELinux: which label the volumes of a pod get, and when two pods cannot share one.

Source: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/#efficient-selinux-volume-relabeling
"""

from __future__ import annotations

from itertools import zip_longest

from kubarium.apimachinery.object import Object, spec_of

MOUNT_OPTION, RECURSIVE = "MountOption", "Recursive"


def label_of(options: Object) -> str:
    """`user:role:type:level`. What is left out stays empty: only the node knows what it fills in."""
    parts = [options.get(part) or "" for part in ("user", "role", "type", "level")]
    return ":".join(parts) if any(parts) else ""


def conflict(one: str, other: str) -> bool:
    """Do two labels differ in a part that both name? What is left out may turn out to be the same."""
    parts = zip_longest(one.split(":", 3), other.split(":", 3), fillvalue="")
    return any(mine and theirs and mine != theirs for mine, theirs in parts)


def change_policy(pod: Object) -> str:
    """How the pod wants its volumes to be labelled."""
    return (spec_of(pod).get("securityContext") or {}).get("seLinuxChangePolicy") or MOUNT_OPTION


def labels_by_volume(pod: Object) -> dict[str, set[str]]:
    """For each volume that some container mounts, the labels that its containers want; privileged ones want none."""
    spec = spec_of(pod)
    of_pod = (spec.get("securityContext") or {}).get("seLinuxOptions")
    found: dict[str, set[str]] = {}
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in spec.get(kind) or ():
            own = container.get("securityContext") or {}
            options = own.get("seLinuxOptions") or of_pod
            for mount in (*(container.get("volumeMounts") or ()), *(container.get("volumeDevices") or ())):
                labels = found.setdefault(mount["name"], set())
                if options is not None and not own.get("privileged"):
                    labels.add(label_of(options))
    return found
