"""Wanted and mounted: sets up every volume of a pod, turns volume mounts into mounts, takes all down at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from kubarium.apimachinery import errors
from kubarium.apimachinery.object import Object, namespace_of, spec_of, uid_of
from kubarium.component_base.metrics import Labels
from kubelet import metrics
from kubelet.runtime.inputs import Recorder
from kubelet.volumes import claims, mounts
from kubelet.volumes.container_mounts import ContainerMounts
from kubelet.volumes.plugin import Mounted, Plugin, VolumeError, VolumeHost

MAX_FILE = 64 * 1024  # bytes of a file with environment variables
FAILURES = (VolumeError, errors.StatusError, OSError, TimeoutError)


class VolumeManager:
    """Knows where each volume of each pod lies."""

    def __init__(self, root: Path, plugins: Sequence[Plugin], host: VolumeHost, recorder: Recorder) -> None:
        self._root = root
        self._plugins = plugins
        self._host = host
        self._recorder = recorder
        self._mounted: dict[str, dict[str, Mounted]] = {}
        self._images: dict[str, set[str]] = {}
        self._resolved: dict[str, dict[str, tuple[Plugin, Object]]] = {}  # as it was last set up
        metrics.TOTAL_VOLUMES.read = self._count

    def pod_directory(self, pod_uid: str) -> Path:
        """Where everything of a pod lies."""
        return self._root / "pods" / pod_uid

    # -- volumes ---------------------------------------------------------------------------------------------------

    async def set_up(self, pod: Object) -> None:
        """Set up or refresh all volumes at once. Raises VolumeError after an event for each that failed."""
        mounted = self._mounted.setdefault(uid_of(pod), {})
        wanted = spec_of(pod).get("volumes") or []
        failed = await asyncio.gather(*(self._try_one(pod, volume, mounted) for volume in wanted))
        # A volume that is there goes on as it is when its refresh fails.
        missing = [name for name in failed if name and name not in mounted]
        if missing:
            raise VolumeError(f"unmounted volumes=[{' '.join(missing)}]")

    async def _try_one(self, pod: Object, volume: Object, mounted: dict[str, Mounted]) -> str:
        """Returns the volume's name when it failed."""
        name = volume["name"]
        known = {"name": name}
        try:
            found = await self._resolve(pod, volume)
            known["name"] = found["name"]
            mounted[name] = await self._set_up_one(pod, name, found)
        except FAILURES as error:
            self._tell(pod, name, known["name"], error)
            return str(name)
        return ""

    def _tell(self, pod: Object, name: str, spec_name: str, error: Exception) -> None:
        operation = error.operation if isinstance(error, VolumeError) else "MountVolume.SetUp"
        reason, text = "FailedMount", f'{operation} failed for volume "{spec_name}" : {error}'
        if operation == "resize":
            reason, text = "VolumeResizeFailed", str(error)
        elif not operation:
            text = (
                f"Unable to attach or mount volumes: unmounted volumes=[{name}], unattached volumes=[], "
                f"failed to process volumes=[{name}]: {error}"
            )
        self._recorder.event(pod, "Warning", reason, text)

    async def _resolve(self, pod: Object, volume: Object) -> Object:
        if claims.is_claimed(volume):
            found = await claims.resolve(pod, volume, self._host)
            self._check_single_user(pod, found)
            return found
        return volume if any(key != "name" for key in volume) else {**volume, "emptyDir": {}}

    def _check_single_user(self, pod: Object, volume: Object) -> None:
        if "ReadWriteOncePod" not in (spec_of(volume["persistentVolume"]).get("accessModes") or []):
            return
        for uid, volumes in self._resolved.items():
            if uid != uid_of(pod) and any(other["name"] == volume["name"] for _, other in volumes.values()):
                text = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
                raise VolumeError(text)

    async def _set_up_one(self, pod: Object, name: str, volume: Object) -> Mounted:
        plugin = next((plugin for plugin in self._plugins if plugin.supports(volume)), None)
        if plugin is None:
            raise VolumeError("no volume plugin matched", "")
        is_block = spec_of(volume.get("persistentVolume") or {}).get("volumeMode") == "Block"
        kind = "volumeDevices" if is_block else "volumes"
        directory = (
            self.pod_directory(uid_of(pod)) / kind / f"kubernetes.io~{plugin.name}" / str(volume["name"])
        )
        with _timed(plugin_of(plugin, volume), "volume_mount"):
            found = await plugin.set_up(pod, volume, directory)
        self._resolved.setdefault(uid_of(pod), {})[name] = plugin, volume
        if volume.get("readOnly") and not found.read_only:
            return Mounted(found.path, True, found.image, found.device)
        return found

    async def lay_images(
        self, pod: Object, container: Object, pull: Callable[[Object], Awaitable[str]]
    ) -> None:
        """Pull and lay out the images that a container mounts. Raises StartError from `pull`, or VolumeError."""
        wanted = {mount["name"] for mount in container.get("volumeMounts") or []}
        for name, (plugin, volume) in list(self._resolved.get(uid_of(pod), {}).items()):
            if name in wanted and volume.get("image") is not None:
                reference = await pull(volume)
                directory = self.pod_directory(uid_of(pod)) / "volumes" / "kubernetes.io~image" / name
                self._mounted[uid_of(pod)][name] = await plugin.pulled(reference, directory)
                self._images.setdefault(uid_of(pod), set()).add(reference)

    def images(self) -> set[str]:
        """Images that are volumes of pods here."""
        return set().union(*self._images.values())

    # -- what containers get ---------------------------------------------------------------------------------------

    def of_container(
        self,
        pod: Object,
        container: Object,
        environment: Mapping[str, str],
        recursive_read_only: bool = False,
        user_ids: Sequence[Mapping[str, int]] = (),
    ) -> ContainerMounts:
        """The container's volume mounts and devices."""
        mounted = self._mounted.get(uid_of(pod), {})
        directory = self.pod_directory(uid_of(pod))
        return ContainerMounts(pod, container, mounted, directory, environment, recursive_read_only, user_ids)

    def read_file(self, pod_uid: str, volume: str, path: str) -> str:
        """What containers wrote into a file of a volume; links are not followed. Raises OSError."""
        mounted = self._mounted.get(pod_uid, {}).get(volume)
        if mounted is None:
            raise FileNotFoundError(volume)
        descriptor = mounts.open_below(mounted.path, path, create=False)
        try:
            return Path(f"/proc/self/fd/{descriptor}").read_bytes()[:MAX_FILE].decode(errors="replace")
        finally:
            os.close(descriptor)

    # -- usage -----------------------------------------------------------------------------------------------------

    def _count(self) -> list[tuple[Labels, float]]:
        """By plugin: volumes that pods should have, and those that are there."""
        wanted, there = Counter[str](), Counter[str]()
        for uid, volumes in self._resolved.items():
            for name, (plugin, volume) in volumes.items():
                wanted[plugin_of(plugin, volume)] += 1
                there[plugin_of(plugin, volume)] += name in self._mounted.get(uid, {})
        return [
            ((plugin, state), float(count))
            for state, counts in (("desired_state_of_world", wanted), ("actual_state_of_world", there))
            for plugin, count in counts.items()
        ]

    async def usage(self, pod: Object) -> list[Object]:
        """How full the pod's volumes are, in the words of the summary API."""
        found = []
        mounted = self._mounted.get(uid_of(pod), {})
        for name, (plugin, volume) in list(self._resolved.get(uid_of(pod), {}).items()):
            if name not in mounted:
                continue
            with metrics.MEASURE_SECONDS.timed((plugin_of(plugin, volume),)):
                one = await plugin.usage(pod, volume, mounted[name])
            if one is None:
                continue
            one["name"] = name
            if volume.get("claim") is not None:
                claim = volume["claim"]
                one["pvcRef"] = {"name": claim["metadata"]["name"], "namespace": namespace_of(claim)}
            found.append(one)
        return found

    # -- the end ---------------------------------------------------------------------------------------------------

    async def tear_down(self, pod_uid: str) -> None:
        """Unmount and remove everything of a pod. Raises VolumeError when something could not be undone yet."""
        directory = self.pod_directory(pod_uid)
        mounts.unmount_below(str(directory / "volume-subpaths"))
        failure: VolumeError | None = None
        for plugin in self._plugins:
            for volume in _volumes_below(directory, plugin.name):
                try:
                    with _timed(f"kubernetes.io/{plugin.name}", "volume_unmount"):
                        await plugin.tear_down(volume)
                except VolumeError as error:
                    failure = error
        if failure is not None:
            raise failure
        self._mounted.pop(pod_uid, None)
        self._resolved.pop(pod_uid, None)
        self._images.pop(pod_uid, None)
        for plugin in self._plugins:
            plugin.forget(pod_uid)
        await asyncio.to_thread(_remove, directory)

    async def clear(self) -> None:
        """Undo what is left of volumes that no pod has any more."""
        for plugin in self._plugins:
            await plugin.clear()

    def pods_on_disk(self) -> list[str]:
        """Uids of pods that have a directory."""
        directory = self._root / "pods"
        return [entry.name for entry in directory.iterdir()] if directory.is_dir() else []


def plugin_of(plugin: Plugin, volume: Object) -> str:
    """The plugin's full name; CSI drivers are told apart."""
    csi = spec_of(volume.get("persistentVolume") or {}).get("csi") or volume.get("csi") or {}
    return f"kubernetes.io/{plugin.name}" + (f":{csi['driver']}" if csi.get("driver") else "")


@contextlib.contextmanager
def _timed(plugin: str, operation: str) -> Iterator[None]:
    began, status = time.perf_counter(), "fail-unknown"
    try:
        yield
        status = "success"
    finally:
        metrics.STORAGE_SECONDS.observe((plugin, operation, status, "false"), time.perf_counter() - began)


def _volumes_below(directory: Path, plugin: str) -> Iterable[Path]:
    for kind in ("volumes", "volumeDevices"):
        yield from sorted((directory / kind / f"kubernetes.io~{plugin}").glob("*"))


def _remove(directory: Path) -> None:
    """Remove a pod's directory; what is still mounted there is never deleted with it."""
    mounts.unmount_below(str(directory))
    if not mounts.mount_points(str(directory)):
        shutil.rmtree(directory, ignore_errors=True)
