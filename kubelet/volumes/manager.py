"""Wanted and mounted: sets up every volume of a pod, turns volume mounts into mounts, takes all down at the end."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of
from kubarium.component_base import logging
from kubelet.runtime.container import expand
from kubelet.runtime.inputs import Recorder
from kubelet.runtime.interface import StartError
from kubelet.volumes import mounts
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError, VolumeHost

log = logging.get(__name__)

PROPAGATION = {
    "HostToContainer": "PROPAGATION_HOST_TO_CONTAINER",
    "Bidirectional": "PROPAGATION_BIDIRECTIONAL",
}


class VolumeManager:
    """Knows where each volume of each pod lies."""

    def __init__(self, root: Path, plugins: Sequence[Plugin], host: VolumeHost, recorder: Recorder) -> None:
        self._root = root
        self._plugins = plugins
        self._host = host
        self._recorder = recorder
        self._mounted: dict[str, dict[str, Mounted]] = {}

    def pod_directory(self, pod_uid: str) -> Path:
        """Where everything of a pod lies."""
        return self._root / "pods" / pod_uid

    # -- volumes ---------------------------------------------------------------------------------------------------

    async def set_up(self, pod: Object) -> None:
        """Set up or refresh all volumes. Raises VolumeError after an event for each that failed."""
        mounted = self._mounted.setdefault(uid_of(pod), {})
        failures = []
        for volume in spec_of(pod).get("volumes") or []:
            name = volume["name"]
            try:
                mounted[name] = await self._set_up_one(pod, volume)
            except (VolumeError, errors.StatusError, OSError, TimeoutError) as error:
                # A volume that is there goes on as it is when its refresh fails.
                failures.append(name)
                text = f'MountVolume.SetUp failed for volume "{name}" : {error}'
                self._recorder.event(pod, "Warning", "FailedMount", text)
        missing = [name for name in failures if name not in mounted]
        if missing:
            raise VolumeError(f"unmounted volumes=[{' '.join(missing)}]")

    async def _set_up_one(self, pod: Object, volume: Object) -> Mounted:
        if volume.get("image") is not None:
            return Mounted(read_only=True, image=volume["image"].get("reference") or "")
        if not any(key != "name" for key in volume):
            volume = {**volume, "emptyDir": {}}
        read_only = False
        if volume.get("persistentVolumeClaim") is not None or volume.get("ephemeral") is not None:
            read_only = bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))
            volume = {"name": volume["name"], **await self._claimed(pod, volume)}
        plugin = next((plugin for plugin in self._plugins if plugin.supports(volume)), None)
        if plugin is None:
            kind = ", ".join(key for key in volume if key != "name")
            raise VolumeError(f"no volume plugin matched ({kind})")
        directory = (
            self.pod_directory(uid_of(pod)) / "volumes" / f"kubernetes.io~{plugin.name}" / volume["name"]
        )
        mounted = await plugin.set_up(pod, volume, directory)
        group = (spec_of(pod).get("securityContext") or {}).get("fsGroup")
        first = volume["name"] not in self._mounted.get(uid_of(pod), {})
        if group is not None and first and plugin.name in ("empty-dir", "nfs") and not mounted.read_only:
            await asyncio.to_thread(self._give_to_group, pod, mounted.path, group)
        return Mounted(mounted.path, mounted.read_only or read_only, mounted.image)

    @staticmethod
    def _give_to_group(pod: Object, path: str, group: int) -> None:
        policy = (spec_of(pod).get("securityContext") or {}).get("fsGroupChangePolicy")
        found = os.stat(path)
        if policy == "OnRootMismatch" and found.st_gid == group and found.st_mode & 0o2070 == 0o2070:
            return
        mounts.set_ownership(path, group, read_only=False)

    async def _claimed(self, pod: Object, volume: Object) -> Object:
        """The source that the claim's persistent volume names. Raises VolumeError."""
        if volume.get("ephemeral") is not None:
            claim_name = f"{name_of(pod)}-{volume['name']}"
        else:
            claim_name = volume["persistentVolumeClaim"]["claimName"]
        claim = await self._host.fetch("PersistentVolumeClaim", namespace_of(pod), claim_name)
        if claim is None:
            raise VolumeError(f'persistentvolumeclaim "{claim_name}" not found')
        if (claim.get("status") or {}).get("phase") != "Bound":
            raise VolumeError(f"error processing PVC {namespace_of(pod)}/{claim_name}: PVC is not bound")
        persistent = await self._host.fetch("PersistentVolume", "", spec_of(claim)["volumeName"])
        if persistent is None:
            raise VolumeError(f'persistentvolume "{spec_of(claim)["volumeName"]}" not found')
        spec = spec_of(persistent)
        kinds = ("hostPath", "local", "nfs", "csi")
        return {key: spec[key] for key in (*kinds, "mountOptions") if spec.get(key) is not None}

    # -- mounts of a container -------------------------------------------------------------------------------------

    def mounts_of(
        self, pod: Object, container: Object, environment: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        """The container's volume mounts in the runtime's words. Raises StartError."""
        found = []
        for index, mount in enumerate(container.get("volumeMounts") or []):
            mounted = self._mounted.get(uid_of(pod), {}).get(mount["name"])
            if mounted is None:
                raise StartError(
                    "CreateContainerConfigError",
                    f'cannot find volume "{mount["name"]}" to mount into container "{container["name"]}"',
                )
            found.append(self._mount(pod, container, index, mount, mounted, environment))
        return found

    def _mount(
        self,
        pod: Object,
        container: Object,
        index: int,
        mount: Object,
        mounted: Mounted,
        environment: Mapping[str, str],
    ) -> dict[str, Any]:
        sub_path = mount.get("subPath") or ""
        if mount.get("subPathExpr"):
            sub_path = self._expanded(mount["subPathExpr"], environment)
        where = mount["mountPath"]
        made: dict[str, Any] = {
            "container_path": where if where.startswith("/") else f"/{where}",
            "readonly": bool(mount.get("readOnly")) or mounted.read_only,
            "propagation": PROPAGATION.get(mount.get("mountPropagation") or "", "PROPAGATION_PRIVATE"),
        }
        if mounted.image:
            return made | {"image": {"image": mounted.image}, "image_sub_path": sub_path}
        path = mounted.path
        if sub_path:
            path = self._sub_path(pod, container, index, mount, mounted, sub_path)
        return made | {"host_path": path}

    @staticmethod
    def _expanded(expression: str, environment: Mapping[str, str]) -> str:
        sub_path = expand(expression, dict(environment))
        if "$(" in sub_path:
            raise StartError(
                "CreateContainerConfigError",
                f'missing value for "{sub_path.partition("$(")[2].partition(")")[0]}"',
            )
        if sub_path.startswith("/"):
            text = f"error SubPath `{sub_path}` must not be an absolute path"
            raise StartError("CreateContainerConfigError", text)
        if ".." in sub_path.split("/"):
            text = f"unable to provision SubPath `{sub_path}`: must not contain '..'"
            raise StartError("CreateContainerConfigError", text)
        return sub_path

    def _sub_path(
        self, pod: Object, container: Object, index: int, mount: Object, mounted: Mounted, sub_path: str
    ) -> str:
        base = (
            self.pod_directory(uid_of(pod))
            / "volume-subpaths"
            / mount["name"]
            / container["name"]
            / str(index)
        )
        try:
            if base.exists() and mounts.is_mount_point(str(base)):
                mounts.unmount(str(base))  # the volume may have been written anew since
            mounts.bind_below(mounted.path, sub_path, base, create=True)
        except OSError as error:
            text = f'failed to prepare subPath for volumeMount "{mount["name"]}" of container "{container["name"]}"'
            log.info("%s of %s: %s", text, logging.name(pod), error)
            raise StartError("CreateContainerConfigError", text) from error
        return str(base)

    # -- the end ---------------------------------------------------------------------------------------------------

    def is_set_up(self, pod_uid: str) -> bool:
        """Does the node still hold something of the pod's volumes?"""
        return self.pod_directory(pod_uid).exists()

    async def tear_down(self, pod_uid: str) -> None:
        """Unmount and remove everything of a pod."""
        directory = self.pod_directory(pod_uid)
        mounts.unmount_below(str(directory / "volume-subpaths"))
        for plugin in self._plugins:
            for volume in (directory / "volumes" / f"kubernetes.io~{plugin.name}").glob("*"):
                await plugin.tear_down(volume)
        self._mounted.pop(pod_uid, None)
        await asyncio.to_thread(_remove, directory)

    def pods_on_disk(self) -> list[str]:
        """Uids of pods that have a directory."""
        directory = self._root / "pods"
        return [entry.name for entry in directory.iterdir()] if directory.is_dir() else []


def _remove(directory: Path) -> None:
    """Remove a pod's directory; what is still mounted there is never deleted with it."""
    mounts.unmount_below(str(directory))
    if not mounts.mount_points(str(directory)):
        shutil.rmtree(directory, ignore_errors=True)
