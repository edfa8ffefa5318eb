"""A container's volume mounts and devices, in the runtime's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubarium.apimachinery.object import Object
from kubarium.component_base import logging
from kubelet.runtime.container import expand
from kubelet.runtime.interface import StartError
from kubelet.volumes import mounts
from kubelet.volumes.plugin import Mounted

log = logging.get(__name__)

CONFIG_ERROR = "CreateContainerConfigError"
PROPAGATION = {
    "HostToContainer": "PROPAGATION_HOST_TO_CONTAINER",
    "Bidirectional": "PROPAGATION_BIDIRECTIONAL",
}


class ContainerMounts:
    """Of one container; `directory` is the pod's."""

    def __init__(
        self,
        pod: Object,
        container: Object,
        mounted: Mapping[str, Mounted],
        directory: Path,
        environment: Mapping[str, str],
        recursive_read_only: bool = False,
        user_ids: Sequence[Mapping[str, int]] = (),
    ) -> None:
        self._pod = pod
        self._container = container
        self._mounted = mounted
        self._directory = directory
        self._environment = environment
        self._recursive_read_only = recursive_read_only
        self._user_ids = user_ids

    def mounts(self) -> list[dict[str, Any]]:
        """The container's `volumeMounts`. Raises StartError."""
        return [
            self._mount(index, one) for index, one in enumerate(self._container.get("volumeMounts") or [])
        ]

    def devices(self) -> list[dict[str, str]]:
        """The container's `volumeDevices`. Raises StartError."""
        found = []
        for one in self._container.get("volumeDevices") or []:
            mounted = self._find(one["name"])
            permissions = "r" if mounted.read_only else "mrw"
            found.append(
                {
                    "container_path": one["devicePath"],
                    "host_path": mounted.device,
                    "permissions": permissions,
                }
            )
        return found

    def _find(self, name: str) -> Mounted:
        mounted = self._mounted.get(name)
        if mounted is None:
            raise StartError(
                CONFIG_ERROR,
                f'cannot find volume "{name}" to mount into container "{self._container["name"]}"',
            )
        return mounted

    def _mount(self, index: int, mount: Object) -> dict[str, Any]:
        mounted = self._find(mount["name"])
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            sub_path = expanded(mount["subPathExpr"], self._environment)
        where = mount["mountPath"]
        made: dict[str, Any] = {
            "container_path": where if where.startswith("/") else f"/{where}",
            "readonly": bool(mount.get("readOnly")) or mounted.read_only,
            "propagation": PROPAGATION.get(mount.get("mountPropagation") or "", "PROPAGATION_PRIVATE"),
        }
        if self._user_ids and mounted.mappable:
            made |= {"uidMappings": self._user_ids, "gidMappings": self._user_ids}
        if self._is_recursively_read_only(mount):
            made["recursive_read_only"] = True
        if mounted.image:
            return made | {"image": {"image": mounted.image}, "image_sub_path": sub_path}
        path = self._sub_path(index, mount, mounted, sub_path) if sub_path else mounted.path
        return made | {"host_path": path}

    def _is_recursively_read_only(self, mount: Object) -> bool:
        """Source: https://kubernetes.io/docs/concepts/storage/volumes/#recursive-read-only-mounts ."""
        wanted = mount.get("recursiveReadOnly") or "Disabled"
        if wanted == "Disabled" or not mount.get("readOnly"):
            return False
        if wanted == "Enabled" and not self._recursive_read_only:
            raise StartError(
                CONFIG_ERROR,
                f'failed to resolve recursive read-only mode: volume "{mount["name"]}" requested recursive '
                "read-only mode, but it is not supported by the runtime",
            )
        return self._recursive_read_only

    def _sub_path(self, index: int, mount: Object, mounted: Mounted, sub_path: str) -> str:
        own = Path(mount["name"]) / self._container["name"] / str(index)
        base = self._directory / "volume-subpaths" / own
        try:
            if base.exists() and mounts.is_mount_point(str(base)):
                mounts.unmount(str(base))  # the volume may have been written anew since
            mounts.bind_below(mounted.path, sub_path, base, create=True)
        except OSError as error:
            name = self._container["name"]
            text = f'failed to prepare subPath for volumeMount "{mount["name"]}" of container "{name}"'
            log.info("%s of %s: %s", text, logging.name(self._pod), error)
            raise StartError(CONFIG_ERROR, text) from error
        return str(base)


def expanded(expression: str, environment: Mapping[str, str]) -> str:
    """A `subPathExpr` with its variables put in. Raises StartError."""
    sub_path = expand(expression, dict(environment))
    if "$(" in sub_path:
        name = sub_path.partition("$(")[2].partition(")")[0]
        raise StartError(CONFIG_ERROR, f'missing value for "{name}"')
    if sub_path.startswith("/"):
        raise StartError(CONFIG_ERROR, f"error SubPath `{sub_path}` must not be an absolute path")
    if ".." in sub_path.split("/"):
        raise StartError(CONFIG_ERROR, f"unable to provision SubPath `{sub_path}`: must not contain '..'")
    return sub_path
