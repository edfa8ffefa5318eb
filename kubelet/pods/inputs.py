"""Brings together what images, volumes, network and resources prepare for a pod's sandbox and containers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kubarium.api.core.pod import containers as pod_containers
from kubarium.api.core.pod.static import is_static
from kubarium.apimachinery.object import Object, name_of, namespace_of, spec_of, uid_of
from kubarium.component_base.plugin_socket import PluginError
from kubelet.devices.cdi import UnknownDevice
from kubelet.devices.devices import Devices
from kubelet.devices.edits import Edits
from kubelet.images.pull import ImagePuller
from kubelet.network.dns import ClusterDNS, resolver_of
from kubelet.pods import environment
from kubelet.pods.environment import Fetch, Surroundings
from kubelet.pods.user_namespaces import UserNamespaces
from kubelet.resources import limits
from kubelet.resources.cgroups import Cgroups
from kubelet.runtime.inputs import ContainerOptions, SandboxOptions
from kubelet.runtime.interface import ContainerRuntimeError, RuntimeInfo, SandboxConfig, StartError
from kubelet.volumes.manager import VolumeManager
from kubelet.volumes.plugin import VolumeError


class Inputs:
    """`ContainerInputs` for real pods."""

    def __init__(
        self,
        *,
        puller: ImagePuller,
        volumes: VolumeManager,
        cgroups: Cgroups,
        devices: Devices,
        dns: ClusterDNS,
        fetch: Fetch,
        services: Callable[[], Iterable[Object]],
        services_known: Callable[[], bool],
        runtime_handler: Callable[[Object], str],
        runtime: Callable[[], RuntimeInfo],
        users: UserNamespaces,
        host_ips: Callable[[], Sequence[str]],
        allocatable: Callable[[], Mapping[str, Any]],
        rules: limits.Rules,
        logs: Path,
    ) -> None:
        self._puller = puller
        self._volumes = volumes
        self._cgroups = cgroups
        self._devices = devices
        self._dns = dns
        self._fetch = fetch
        self._services = services
        self._services_known = services_known
        self._runtime_handler = runtime_handler
        self._runtime = runtime
        self._users = users
        self._host_ips = host_ips
        self._allocatable = allocatable
        self._rules = rules
        self._logs = logs

    async def sandbox(self, pod: Object) -> SandboxOptions:
        """Options of the pod's sandbox."""
        handler = self._runtime_handler(pod)
        resolver, warnings = resolver_of(pod, self._dns)
        return SandboxOptions(
            hostname=environment.kernel_hostname(pod, self._dns.domain),
            log_directory=str(log_directory(self._logs, pod)),
            dns=resolver.as_dict(),
            cgroup_parent=self._cgroups.parent_of(pod),
            resources=limits.pod_resources(pod, self._rules.cfs_period),
            overhead=limits.overhead(pod, self._rules.cfs_period),
            runtime_handler=handler,
            user_ids=self._users.ids_of(pod, handler),
            warnings=warnings,
        )

    def limits(self, pod: Object) -> dict[str, Mapping[str, Any]]:
        """What each container may use."""
        return {
            container["name"]: limits.linux_resources(pod, container, self._rules)
            for container in [*pod_containers.sidecars_of(pod), *pod_containers.containers_of(pod)]
        }

    async def pull(self, pod: Object, container: Object, sandbox: SandboxConfig) -> str:
        """Make sure that the images are there: the container's own, and those of volumes that it mounts."""

        async def pull(volume: Object) -> str:
            source = volume["image"]
            wanted = {"image": source.get("reference"), "imagePullPolicy": source.get("pullPolicy")}
            return await self._puller.ensure(pod, wanted, sandbox)

        try:
            await self._volumes.lay_images(pod, container, pull)
        except (VolumeError, ContainerRuntimeError) as error:
            raise StartError("CreateContainerError", f"failed to mount image volume: {error}") from error
        return await self._puller.ensure(pod, container, sandbox)

    async def container(
        self, pod: Object, container: Object, image_ref: str, pod_ips: Sequence[str], attempt: int
    ) -> ContainerOptions:
        """Options of one container."""
        if not self._services_known() and not is_static(pod):
            text = "services have not yet been read at least once, cannot construct envvars"
            raise StartError("CreateContainerConfigError", text)
        devices = await self._edits(pod, container)
        ips = list(self._host_ips()) if spec_of(pod).get("hostNetwork") else list(pod_ips)
        around = Surroundings(
            self._host_ips(),
            ips,
            self._allocatable(),
            self._services(),
            lambda volume, path: self._volumes.read_file(uid_of(pod), volume, path),
        )
        variables = await environment.environment(pod, container, around, self._fetch)
        handler = self._runtime_handler(pod)
        users = self._users.ids_of(pod, handler)
        recursive = self._runtime().mounts_recursively_read_only(handler)
        volumes = self._volumes.of_container(pod, container, dict(variables), recursive, users)
        mounts: list[Mapping[str, Any]] = [*volumes.mounts(), *devices.mounts]
        taken = {str(mount["container_path"]).rstrip("/") for mount in mounts}
        directory = self._volumes.pod_directory(uid_of(pod))
        if "/etc/hosts" not in taken:
            mounts.append(self._hosts_mount(pod, directory, ips, container))
        message_path = container.get("terminationMessagePath") or "/dev/termination-log"
        if message_path not in taken:
            written = _make_termination_log(directory, container["name"])
            mounts.append({"container_path": message_path, "host_path": written})
        return ContainerOptions(
            image_ref=image_ref,
            image=self._puller.image(image_ref),
            environment=[*variables, *devices.environment.items()],
            mounts=mounts,
            devices=[*volumes.devices(), *devices.devices],
            supplemental_groups=devices.groups,
            cdi_devices=devices.cdi,
            user_ids=users,
            annotations=devices.annotations,
            resources=limits.linux_resources(pod, container, self._rules),
        )

    async def _edits(self, pod: Object, container: Object) -> Edits:
        try:
            return await self._devices.prepare(pod, container)
        except (PluginError, UnknownDevice) as error:
            raise StartError("CreateContainerConfigError", str(error)) from error

    def _hosts_mount(
        self, pod: Object, directory: Path, ips: Sequence[str], container: Object
    ) -> dict[str, Any]:
        file = directory / "etc-hosts"
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            node_hosts = Path("/etc/hosts").read_text() if spec_of(pod).get("hostNetwork") else ""
        except OSError:
            node_hosts = ""
        write_unless_same(file, environment.hosts_file(pod, ips, self._dns.domain, node_hosts))
        read_only = bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem"))
        return {"container_path": "/etc/hosts", "host_path": str(file), "readonly": read_only}


def write_unless_same(file: Path, text: str) -> None:
    """Write a file that containers share: others may be reading it, and while it is written anew it is empty."""
    if file.exists() and file.read_bytes() == text.encode():
        return
    file.write_text(text)
    file.chmod(0o644)


def log_directory(logs: Path, pod: Object) -> Path:
    """`<namespace>_<name>_<uid>` below the directory of all logs."""
    return logs / f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"


def _make_termination_log(directory: Path, name: str) -> str:
    """A fresh file that any user in the container may write."""
    place = directory / "containers" / name
    place.mkdir(parents=True, exist_ok=True)
    file = place / os.urandom(4).hex()
    file.touch()
    file.chmod(0o666)
    return str(file)
