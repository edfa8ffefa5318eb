"""What pods fill of the node's own disk: emptyDir volumes, logs, containers' writable layers; and which limits hold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kubarium.api.core.pod import containers as pod_containers
from kubarium.apimachinery import quantity
from kubarium.apimachinery.object import Object, spec_of

LOCAL_KINDS = {  # volumes whose content lies on the node's disk, and the directory of their plug-in
    "emptyDir": "empty-dir",
    "configMap": "configmap",
    "secret": "secret",
    "downwardAPI": "downward-api",
    "projected": "projected",
}


@dataclass(frozen=True, slots=True)
class Size:
    """Of files below a place."""

    bytes: int = 0
    inodes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.bytes + other.bytes, self.inodes + other.inodes)


@dataclass(frozen=True, slots=True)
class LocalStorage:
    """What one pod fills outside its containers' writable layers."""

    volumes: Mapping[str, Size] = field(default_factory=dict)
    logs: Mapping[str, Size] = field(default_factory=dict)  # by container

    @property
    def total(self) -> Size:
        """All together."""
        return sum((*self.volumes.values(), *self.logs.values()), Size())


def has_limits(pod: Object) -> bool:
    """Does the pod say how much of the disk it may fill?"""
    limited = any(
        (volume.get("emptyDir") or {}).get("sizeLimit") for volume in spec_of(pod).get("volumes") or []
    )
    return limited or any(
        "ephemeral-storage" in ((one.get("resources") or {}).get("limits") or {})
        for one in pod_containers.all_containers(pod)
    )


def measure(pod: Object, directory: Path, logs: Path) -> LocalStorage:
    """Walk over the pod's volumes and logs; blocks while the disk answers."""
    volumes = {}
    for volume in spec_of(pod).get("volumes") or []:
        kind = next((kind for kind in LOCAL_KINDS if volume.get(kind) is not None), None)
        if kind is None or (volume.get("emptyDir") or {}).get("medium"):
            continue  # memory is not disk
        place = directory / "volumes" / f"kubernetes.io~{LOCAL_KINDS[kind]}" / volume["name"]
        volumes[volume["name"]] = size(place)
    by_container = {one["name"]: size(logs / one["name"]) for one in pod_containers.all_containers(pod)}
    return LocalStorage(volumes, by_container)


def size(path: Path) -> Size:
    """Disk space and inodes below a path; a file with several names counts once."""
    total, seen = 0, set()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            try:
                found = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return Size(total, len(seen))


def over_limit(pod: Object, storage: LocalStorage, writable: Mapping[str, int]) -> tuple[str, str]:
    """Which of its own limits the pod has passed, as a signal and in words; empty when none.

    Volumes come first, then the pod, then containers.
    """
    for volume in spec_of(pod).get("volumes") or []:
        limit = (volume.get("emptyDir") or {}).get("sizeLimit")
        used = storage.volumes.get(volume["name"], Size()).bytes
        if limit and 0 < quantity.value(limit) < used:
            text = f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
            return "emptydirfs.limit", text
    total = _pod_limit(pod)
    if total and storage.total.bytes + sum(writable.values()) > quantity.value(total):
        text = f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        return "ephemeralpodfs.limit", text
    for container in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]:
        limit = _limit(container)
        used = writable.get(container["name"], 0) + storage.logs.get(container["name"], Size()).bytes
        if limit and used > quantity.value(limit):
            text = f'Container {container["name"]} exceeded its local ephemeral storage limit "{limit}". '
            return "ephemeralcontainerfs.limit", text
    return "", ""


def _pod_limit(pod: Object) -> str:
    """The sum of those limits that there are."""
    limits = [_limit(one) for one in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]]
    given = [limit for limit in limits if limit]
    return quantity.total(given) if given else ""


def _limit(container: Object) -> str:
    return str(((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage") or "")
