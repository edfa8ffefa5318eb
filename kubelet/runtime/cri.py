"""The door to a runtime that speaks the CRI (containerd, CRI-O): one channel for gRPC over a unix socket.

Every call has a deadline. Errors of gRPC become the errors of `interface.py` here and nowhere else.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from kubarium.component_base import wire
from kubarium.component_base.grpc_channel import CallFailed, Channel
from kubelet.runtime import interface, operations
from kubelet.runtime.containerd import Views, understood
from kubelet.runtime.interface import (
    Container,
    ContainerConfig,
    ContainerRuntimeError,
    ContainerStatus,
    ContainerUsage,
    Credentials,
    ExecResult,
    Image,
    ImageView,
    RuntimeCondition,
    RuntimeHandler,
    RuntimeInfo,
    Sandbox,
    SandboxConfig,
    SandboxUsage,
)

MESSAGES = wire.load(Path(__file__).with_name("cri.proto"))

RUNTIME_SERVICE = "runtime.v1.RuntimeService"
IMAGE_SERVICE = "runtime.v1.ImageService"
CONTAINERD_EVENTS = "containerd.services.events.v1.Events/Subscribe"
# What was started was started by this kubelet, which looks at it then.
TASK_EVENTS = 'namespace==k8s.io,topic~="/tasks/(exit|oom)"'

TIMEOUT = 120.0  # seconds; upstream's --runtime-request-timeout of 2m
PULL_TIMEOUT = 3600.0

# From these versions on a mount of a container may name an image and a path in it (containerd 2.1 takes the image and
# silently leaves out the path).
TAKES_IMAGES = {"containerd": (2, 2), "cri-o": (1, 33)}
KNOWS_CDI = {"containerd": (2, 0), "cri-o": (1, 23)}
DEFAULT_SNAPSHOTTER = "overlayfs"

STATES = (interface.CREATED, interface.RUNNING, interface.EXITED, interface.UNKNOWN)
SANDBOX_STATES = (interface.READY, interface.NOT_READY)


class CRIRuntime:
    """`Runtime` over gRPC."""

    def __init__(self, endpoint: str, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._channel = Channel(endpoint if "://" in endpoint else f"unix://{endpoint}")
        self._info: RuntimeInfo | None = None
        self._views: Views | None = None

    async def close(self) -> None:
        self._channel.close()

    async def _call(
        self, method: str, deadline: float | None = None, service: str = RUNTIME_SERVICE, **fields: Any
    ) -> Any:
        request = MESSAGES[f"{method}Request"](**fields).SerializeToString()
        with operations.counted(method):
            try:
                answer = await self._channel.call(f"{service}/{method}", request, deadline or self._timeout)
            except CallFailed as error:
                raise understood(error) from error
        return MESSAGES[f"{method}Response"].FromString(answer)

    # -- the runtime itself ----------------------------------------------------------------------------------------

    async def version(self) -> RuntimeInfo:
        answer = await self._call("Version", deadline=10)
        known = self._info
        if known is None or (known.name, known.version) != (answer.runtime_name, answer.runtime_version):
            status = await self._call("Status", deadline=10, verbose=True)
            known = self._info = _runtime_info(answer, status)
        return known

    async def conditions(self) -> list[RuntimeCondition]:
        answer = await self._call("Status", deadline=10)
        return [RuntimeCondition(c.type, c.status, c.reason, c.message) for c in answer.status.conditions]

    # -- sandboxes -------------------------------------------------------------------------------------------------

    async def run_sandbox(self, config: SandboxConfig, handler: str = "") -> str:
        # Upstream doubles the usual deadline: the network plugin may be slow.
        answer = await self._call(
            "RunPodSandbox", deadline=2 * self._timeout, config=config, runtime_handler=handler
        )
        return str(answer.pod_sandbox_id)

    async def stop_sandbox(self, sandbox_id: str) -> None:
        try:
            await self._call("StopPodSandbox", pod_sandbox_id=sandbox_id)
        except interface.NotFound:
            return

    async def remove_sandbox(self, sandbox_id: str) -> None:
        try:
            await self._call("RemovePodSandbox", pod_sandbox_id=sandbox_id)
        except interface.NotFound:
            return

    async def list_sandboxes(self, pod_uid: str = "") -> list[Sandbox]:
        answer = await self._call("ListPodSandbox", deadline=20, filter={"label_selector": _of_pod(pod_uid)})
        return [_sandbox(item) for item in answer.items]

    async def sandbox_status(self, sandbox_id: str) -> Sandbox:
        answer = await self._call("PodSandboxStatus", pod_sandbox_id=sandbox_id)
        network = answer.status.network
        ips = (network.ip, *(extra.ip for extra in network.additional_ips)) if network.ip else ()
        return _sandbox(answer.status, ips)

    # -- containers ------------------------------------------------------------------------------------------------

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        answer = await self._call(
            "CreateContainer", pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox
        )
        return str(answer.container_id)

    async def start_container(self, container_id: str) -> None:
        await self._call("StartContainer", container_id=container_id)

    async def stop_container(self, container_id: str, grace: int) -> None:
        try:
            await self._call(
                "StopContainer", deadline=grace + self._timeout, container_id=container_id, timeout=grace
            )
        except interface.NotFound:
            return

    async def remove_container(self, container_id: str) -> None:
        try:
            await self._call("RemoveContainer", container_id=container_id)
        except interface.NotFound:
            return

    async def list_containers(self, pod_uid: str = "") -> list[Container]:
        answer = await self._call("ListContainers", deadline=20, filter={"label_selector": _of_pod(pod_uid)})
        return [
            Container(
                id=item.id,
                sandbox_id=item.pod_sandbox_id,
                name=item.metadata.name,
                attempt=item.metadata.attempt,
                state=STATES[item.state],
                created_at=item.created_at,
                image=item.image.image,
                labels=dict(item.labels),
                annotations=dict(item.annotations),
            )
            for item in answer.containers
        ]

    async def container_status(self, container_id: str) -> ContainerStatus:
        answer = await self._call("ContainerStatus", container_id=container_id)
        return _container_status(answer.status)

    async def update_container_resources(self, container_id: str, resources: Mapping[str, Any]) -> None:
        await self._call("UpdateContainerResources", container_id=container_id, linux=dict(resources))

    async def reopen_log(self, container_id: str) -> None:
        await self._call("ReopenContainerLog", container_id=container_id)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: float = 0) -> ExecResult:
        seconds = max(1, round(timeout)) if timeout else 0
        deadline = seconds + 30 if seconds else self._timeout
        answer = await self._call(
            "ExecSync", deadline=deadline, container_id=container_id, cmd=list(command), timeout=seconds
        )
        return ExecResult(answer.exit_code, answer.stdout, answer.stderr)

    # -- streams ---------------------------------------------------------------------------------------------------

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        answer = await self._call(
            "Exec",
            container_id=container_id,
            cmd=list(command),
            tty=tty,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
        )
        return str(answer.url)

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        answer = await self._call(
            "Attach", container_id=container_id, tty=tty, stdin=stdin, stdout=stdout, stderr=stderr
        )
        return str(answer.url)

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        answer = await self._call("PortForward", pod_sandbox_id=sandbox_id, port=list(ports))
        return str(answer.url)

    # -- images ----------------------------------------------------------------------------------------------------

    async def list_images(self) -> list[Image]:
        answer = await self._call("ListImages", service=IMAGE_SERVICE)
        return [_image(item) for item in answer.images]

    async def image_status(self, image: str) -> Image | None:
        answer = await self._call("ImageStatus", service=IMAGE_SERVICE, image={"image": image})
        return _image(answer.image) if answer.image.id else None

    async def pull_image(
        self, image: str, credentials: Credentials | None, sandbox: SandboxConfig | None
    ) -> str:
        fields: dict[str, Any] = {"image": {"image": image, "user_specified_image": image}}
        if credentials is not None:
            fields["auth"] = {
                "username": credentials.username,
                "password": credentials.password,
                "auth": credentials.auth,
                "identity_token": credentials.identity_token,
                "registry_token": credentials.registry_token,
                "server_address": credentials.server,
            }
        if sandbox is not None:
            fields["sandbox_config"] = sandbox
        answer = await self._call("PullImage", deadline=PULL_TIMEOUT, service=IMAGE_SERVICE, **fields)
        return str(answer.image_ref)

    async def remove_image(self, image: str) -> None:
        try:
            await self._call("RemoveImage", service=IMAGE_SERVICE, image={"image": image})
        except interface.NotFound:
            return

    async def view_image(self, image: str, key: str) -> ImageView | None:
        if (await self.version()).takes_images:
            return None
        views = await self._open_views()
        found = await views.view(image, key, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if len(found) != 1:
            raise ContainerRuntimeError(f"{len(found)} mounts for image {image}, expected one")
        return ImageView(found[0].type, found[0].source, tuple(found[0].options))

    async def give_back_view(self, key: str) -> None:
        await (await self._open_views()).give_back(key)

    async def _open_views(self) -> Views:
        if self._views is None:
            answer = await self._call("Status", deadline=10, verbose=True)
            config = orjson.loads(answer.info.get("config") or "{}")
            snapshotter = (config.get("containerd") or {}).get("snapshotter") or DEFAULT_SNAPSHOTTER
            self._views = Views(self._channel, snapshotter)
        return self._views

    async def image_filesystem(self) -> tuple[str, int, int]:
        answer = await self._call("ImageFsInfo", service=IMAGE_SERVICE)
        for item in answer.image_filesystems:
            return item.fs_id.mountpoint, item.used_bytes.value, item.inodes_used.value
        return "", 0, 0

    # -- usage -----------------------------------------------------------------------------------------------------

    async def container_usage(self) -> list[ContainerUsage]:
        answer = await self._call("ListContainerStats", deadline=20, filter={})
        return [
            ContainerUsage(
                id=item.attributes.id,
                name=item.attributes.metadata.name,
                labels=dict(item.attributes.labels),
                timestamp=item.cpu.timestamp,
                cpu_nanoseconds=item.cpu.usage_core_nano_seconds.value,
                memory_working_set=item.memory.working_set_bytes.value,
                memory_usage=item.memory.usage_bytes.value,
                memory_rss=item.memory.rss_bytes.value,
                filesystem_used=item.writable_layer.used_bytes.value,
                inodes_used=item.writable_layer.inodes_used.value,
            )
            for item in answer.stats
        ]

    async def sandbox_usage(self) -> list[SandboxUsage]:
        try:
            answer = await self._call("ListPodSandboxStats", deadline=20, filter={})
        except ContainerRuntimeError:
            return []  # one odd sandbox fails the whole list in containerd 1.6 and 1.7
        return [
            SandboxUsage(
                id=item.attributes.id,
                pod_uid=item.attributes.metadata.uid,
                timestamp=item.linux.network.timestamp,
                interface=item.linux.network.default_interface.name,
                rx_bytes=item.linux.network.default_interface.rx_bytes.value,
                rx_errors=item.linux.network.default_interface.rx_errors.value,
                tx_bytes=item.linux.network.default_interface.tx_bytes.value,
                tx_errors=item.linux.network.default_interface.tx_errors.value,
                process_count=item.linux.process.process_count.value,
            )
            for item in answer.stats
        ]

    async def changes(self) -> AsyncIterator[str]:
        """containerd's task events; a CRI runtime that is not containerd says `Unsupported`."""
        request = MESSAGES["SubscribeRequest"](filters=[TASK_EVENTS]).SerializeToString()
        stream = self._channel.stream(CONTAINERD_EVENTS, request, stays_open=False)
        try:
            async with contextlib.aclosing(stream):
                async for message in stream:
                    envelope = MESSAGES["Envelope"].FromString(message)
                    if envelope.topic == "/tasks/exit":
                        exited = MESSAGES["TaskExit"].FromString(envelope.event.value)
                        if exited.id != exited.container_id:
                            continue  # a command beside the main process: an exec probe, say
                    yield MESSAGES["TaskEvent"].FromString(envelope.event.value).container_id
        except CallFailed as error:
            raise understood(error) from error


def _runtime_info(version: Any, status: Any) -> RuntimeInfo:
    """What does not change while the runtime is the same; containerd itself says which image its sandboxes have."""
    try:
        sandbox_image = str(orjson.loads(status.info.get("config", "{}")).get("sandboxImage") or "")
    except orjson.JSONDecodeError:
        sandbox_image = ""
    policy = status.features.supplemental_groups_policy if status.HasField("features") else None
    handlers = tuple(
        RuntimeHandler(one.name, one.features.recursive_read_only_mounts, one.features.user_namespaces)
        for one in status.runtime_handlers
    )
    name, number = version.runtime_name, version.runtime_version
    return RuntimeInfo(
        name,
        number,
        handlers,
        policy,
        sandbox_image,
        takes_images=is_at_least(name, number, TAKES_IMAGES),
        knows_cdi=is_at_least(name, number, KNOWS_CDI),
    )


def is_at_least(name: str, version: str, firsts: Mapping[str, tuple[int, int]]) -> bool:
    """What a runtime does not say of itself, its version tells."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    first = firsts.get(name)
    return bool(numbers and first and (int(numbers[1]), int(numbers[2])) >= first)


def _of_pod(pod_uid: str) -> dict[str, str]:
    return {interface.POD_UID: pod_uid} if pod_uid else {}


def _sandbox(item: Any, ips: tuple[str, ...] = ()) -> Sandbox:
    return Sandbox(
        id=item.id,
        name=item.metadata.name,
        namespace=item.metadata.namespace,
        pod_uid=item.metadata.uid,
        attempt=item.metadata.attempt,
        state=SANDBOX_STATES[item.state],
        created_at=item.created_at,
        ips=ips,
        labels=dict(item.labels),
        annotations=dict(item.annotations),
    )


def _container_status(item: Any) -> ContainerStatus:
    linux = item.resources.linux
    resources = None
    if item.HasField("resources") and item.resources.HasField("linux"):
        resources = {
            "cpu_shares": linux.cpu_shares,
            "cpu_quota": linux.cpu_quota,
            "cpu_period": linux.cpu_period,
            "memory_limit_in_bytes": linux.memory_limit_in_bytes,
        }
    user = None
    if item.HasField("user") and item.user.HasField("linux"):
        who = item.user.linux
        user = {"uid": who.uid, "gid": who.gid, "supplementalGroups": list(who.supplemental_groups)}
    return ContainerStatus(
        id=item.id,
        name=item.metadata.name,
        attempt=item.metadata.attempt,
        state=STATES[item.state],
        created_at=item.created_at,
        started_at=item.started_at,
        finished_at=item.finished_at,
        exit_code=item.exit_code,
        image=item.image.user_specified_image or item.image.image,
        image_ref=item.image_ref,
        reason=item.reason,
        message=item.message,
        labels=dict(item.labels),
        annotations=dict(item.annotations),
        mounts=tuple((mount.host_path, mount.container_path, mount.readonly) for mount in item.mounts),
        log_path=item.log_path,
        resources=resources,
        user=user,
    )


def _image(item: Any) -> Image:
    return Image(
        id=item.id,
        tags=tuple(item.repo_tags),
        digests=tuple(item.repo_digests),
        size=item.size,
        uid=item.uid.value if item.HasField("uid") else None,
        username=item.username,
        pinned=item.pinned,
    )
