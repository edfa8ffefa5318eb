"""A runtime in memory: for tests, and for nodes that are only simulated.

It keeps what it is given, starts containers at once, and lets the test (or nobody) decide how they end. Commands are
not run, unless `commands` says what one answers.

    runtime = FakeRuntime(clock)
    runtime.add_image("busybox:latest")
    runtime.finish("pod-uid", "main", exit_code=1)
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubarium.component_base.clock import Clock, RealClock
from kubelet.runtime import interface
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
    NotFound,
    RuntimeCondition,
    RuntimeInfo,
    Sandbox,
    SandboxConfig,
    SandboxUsage,
    Unsupported,
)

Command = Callable[[str, Sequence[str]], ExecResult]


@dataclass(slots=True)
class _Container:
    status: ContainerStatus
    sandbox_id: str
    config: ContainerConfig


@dataclass(slots=True)
class _Sandbox:
    value: Sandbox
    config: SandboxConfig


@dataclass(slots=True)
class FakeRuntime:
    """`Runtime` without containers."""

    clock: Clock = field(default_factory=RealClock)
    commands: Command | None = None
    run_seconds: Callable[[ContainerConfig], float | None] | None = None
    """How long a container runs before it ends by itself with 0; None means until it is stopped."""
    any_image: bool = False
    """Is every image there, or can it be pulled?"""
    network: str = "10.0.0"
    failures: dict[str, Exception] = field(default_factory=dict)
    """Method name -> what the next call raises."""
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    logins: dict[str, str] = field(default_factory=dict)  # image of a registry -> who may have it
    images: dict[str, Image] = field(default_factory=dict)
    _sandboxes: dict[str, _Sandbox] = field(default_factory=dict)
    _containers: dict[str, _Container] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _listeners: list[asyncio.Queue[str]] = field(default_factory=list)

    # -- for tests -------------------------------------------------------------------------------------------------

    def add_image(self, *names: str) -> Image:
        """An image that is there under these names."""
        image = Image(f"sha256:{len(self.images):064x}", names, (), 1000)
        self.images[image.id] = image
        return image

    def finish(
        self, pod_uid: str, name: str, exit_code: int = 0, reason: str = "", message: str = ""
    ) -> None:
        """The newest container of that name ends by itself."""
        found = [one for one in self._containers.values() if one.status.name == name and _uid(one) == pod_uid]
        newest = max(found, key=lambda one: one.status.created_at)
        self._end(newest, exit_code, reason or ("Completed" if exit_code == 0 else "Error"), message)

    def power_off(self) -> None:
        """Everything ends at once, as when the machine loses power."""
        for container in self._containers.values():
            if container.status.state == interface.RUNNING:
                self._end(container, 255, "Unknown", "")
        for sandbox in self._sandboxes.values():
            sandbox.value = dataclasses.replace(sandbox.value, state=interface.NOT_READY)

    # -- the runtime -----------------------------------------------------------------------------------------------

    async def version(self) -> RuntimeInfo:
        return RuntimeInfo("fake", "1.0")

    async def conditions(self) -> list[RuntimeCondition]:
        return [RuntimeCondition("RuntimeReady", True), RuntimeCondition("NetworkReady", True)]

    async def run_sandbox(self, config: SandboxConfig, handler: str = "") -> str:
        self._enter("run_sandbox", config["metadata"]["name"])
        metadata = config["metadata"]
        for other in self._sandboxes.values():
            if other.value.pod_uid == metadata["uid"] and other.value.attempt == metadata.get("attempt", 0):
                raise ContainerRuntimeError("failed to reserve sandbox name")
        number = next(self._numbers)
        options = config.get("linux", {}).get("security_context", {}).get("namespace_options", {})
        on_network = options.get("network") != "NODE"
        sandbox = Sandbox(
            id=f"sandbox{number}",
            name=metadata["name"],
            namespace=metadata["namespace"],
            pod_uid=metadata["uid"],
            attempt=metadata.get("attempt", 0),
            state=interface.READY,
            created_at=self._now(),
            ips=(f"{self.network}.{number % 250 + 2}",) if on_network else (),
            labels=config.get("labels", {}),
            annotations=config.get("annotations", {}),
        )
        self._sandboxes[sandbox.id] = _Sandbox(sandbox, config)
        return sandbox.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self._enter("stop_sandbox", sandbox_id)
        sandbox = self._sandboxes.get(sandbox_id)
        if sandbox is None:
            return
        for container in self._containers.values():
            if container.sandbox_id == sandbox_id and container.status.state == interface.RUNNING:
                self._end(container, 137, "Error", "")
        sandbox.value = dataclasses.replace(sandbox.value, state=interface.NOT_READY)
        self._say(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        self._enter("remove_sandbox", sandbox_id)
        self._sandboxes.pop(sandbox_id, None)
        for id in [id for id, one in self._containers.items() if one.sandbox_id == sandbox_id]:
            del self._containers[id]

    async def list_sandboxes(self, pod_uid: str = "") -> list[Sandbox]:
        self._fail("list_sandboxes")
        return [
            dataclasses.replace(one.value, ips=())
            for one in self._sandboxes.values()
            if pod_uid in ("", one.value.pod_uid)
        ]

    async def sandbox_status(self, sandbox_id: str) -> Sandbox:
        if sandbox_id not in self._sandboxes:
            raise NotFound(f'an error occurred when try to find sandbox: "{sandbox_id}": not found')
        return self._sandboxes[sandbox_id].value

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        self._enter("create_container", config["metadata"]["name"])
        if sandbox_id not in self._sandboxes:
            raise NotFound(f"failed to find sandbox id {sandbox_id}: not found")
        metadata = config["metadata"]
        status = ContainerStatus(
            id=f"container{next(self._numbers)}",
            name=metadata["name"],
            attempt=metadata.get("attempt", 0),
            state=interface.CREATED,
            created_at=self._now(),
            started_at=0,
            finished_at=0,
            exit_code=0,
            image=config["image"].get("user_specified_image") or config["image"]["image"],
            image_ref=config["image"]["image"],
            reason="",
            message="",
            labels=config.get("labels", {}),
            annotations=config.get("annotations", {}),
            mounts=tuple(
                (mount.get("host_path", ""), mount["container_path"], bool(mount.get("readonly")))
                for mount in config.get("mounts", [])
            ),
            log_path=f"{sandbox.get('log_directory', '')}/{config.get('log_path', '')}",
            resources=dict(config.get("linux", {}).get("resources", {})),
        )
        self._containers[status.id] = _Container(status, sandbox_id, config)
        return status.id

    async def start_container(self, container_id: str) -> None:
        container = self._find(container_id)
        self._enter("start_container", container.status.name)
        container.status = dataclasses.replace(
            container.status, state=interface.RUNNING, started_at=self._now()
        )
        seconds = self.run_seconds(container.config) if self.run_seconds is not None else None
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, self._end_if_running, container)

    async def stop_container(self, container_id: str, grace: int) -> None:
        self._enter("stop_container", container_id, grace)
        container = self._containers.get(container_id)
        if container is not None and container.status.state == interface.RUNNING:
            self._end(container, 137 if grace == 0 else 143, "Error", "")

    async def remove_container(self, container_id: str) -> None:
        self._enter("remove_container", container_id)
        self._containers.pop(container_id, None)

    async def list_containers(self, pod_uid: str = "") -> list[Container]:
        self._fail("list_containers")
        return [
            Container(
                id=one.status.id,
                sandbox_id=one.sandbox_id,
                name=one.status.name,
                attempt=one.status.attempt,
                state=one.status.state,
                created_at=one.status.created_at,
                image=one.status.image_ref,
                labels=one.status.labels,
                annotations=one.status.annotations,
            )
            for one in self._containers.values()
            if pod_uid in ("", _uid(one))
        ]

    async def container_status(self, container_id: str) -> ContainerStatus:
        return self._find(container_id).status

    async def update_container_resources(self, container_id: str, resources: Mapping[str, Any]) -> None:
        container = self._find(container_id)
        merged = {**(container.status.resources or {}), **resources}
        container.status = dataclasses.replace(container.status, resources=merged)

    async def reopen_log(self, container_id: str) -> None:
        self._find(container_id)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: float = 0) -> ExecResult:
        container = self._find(container_id)
        self._enter("exec_sync", container.status.name, tuple(command))
        if container.status.state != interface.RUNNING:
            raise ContainerRuntimeError("failed to exec in container: container is not running")
        return self.commands(container.status.name, command) if self.commands else ExecResult(0, b"", b"")

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        raise Unsupported("the runtime in memory has no streams")

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        raise Unsupported("the runtime in memory has no streams")

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        raise Unsupported("the runtime in memory has no streams")

    async def list_images(self) -> list[Image]:
        return list(self.images.values())

    async def image_status(self, image: str) -> Image | None:
        found = next(
            (one for one in self.images.values() if image in (one.id, *one.tags, *one.digests)), None
        )
        return self.add_image(image) if found is None and self.any_image else found

    async def pull_image(
        self, image: str, credentials: Credentials | None, sandbox: SandboxConfig | None
    ) -> str:
        self._enter("pull_image", image, credentials)
        if image in self.logins:
            if self.logins[image] != (credentials.username if credentials is not None else ""):
                raise ContainerRuntimeError(
                    f'failed to pull and unpack image "{image}": authorization failed'
                )
            self.add_image(image)
        found = await self.image_status(image)
        if found is None:
            raise ContainerRuntimeError(f'failed to resolve reference "{image}": not found')
        return found.id

    async def remove_image(self, image: str) -> None:
        self._enter("remove_image", image)
        found = next(
            (one for one in self.images.values() if image in (one.id, *one.tags, *one.digests)), None
        )
        if found is not None:
            del self.images[found.id]

    async def view_image(self, image: str, key: str) -> ImageView | None:
        self._enter("view_image", image, key)
        return None

    async def give_back_view(self, key: str) -> None:
        self._enter("give_back_view", key)

    async def image_filesystem(self) -> tuple[str, int, int]:
        return "", sum(image.size for image in self.images.values()), len(self.images)

    async def container_usage(self) -> list[ContainerUsage]:
        return [
            ContainerUsage(
                id=one.status.id,
                name=one.status.name,
                labels=one.status.labels,
                timestamp=self._now(),
                cpu_nanoseconds=(self._now() - one.status.started_at) // 100,
                memory_working_set=10 << 20,
                memory_usage=10 << 20,
            )
            for one in self._containers.values()
            if one.status.state == interface.RUNNING
        ]

    async def sandbox_usage(self) -> list[SandboxUsage]:
        return []

    async def changes(self) -> AsyncIterator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.append(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.remove(queue)

    async def close(self) -> None:
        return None

    # -- inside ----------------------------------------------------------------------------------------------------

    def _now(self) -> int:
        return int(self.clock.now().timestamp() * 1e9)

    def _enter(self, *call: Any) -> None:
        self.calls.append(call)
        self._fail(call[0])

    def _fail(self, method: str) -> None:
        failure = self.failures.pop(method, None)
        if failure is not None:
            raise failure

    def _find(self, container_id: str) -> _Container:
        if container_id not in self._containers:
            raise NotFound(f'an error occurred when try to find container "{container_id}": not found')
        return self._containers[container_id]

    def _end_if_running(self, container: _Container) -> None:
        if container.status.state == interface.RUNNING:
            self._end(container, 0, "Completed", "")

    def _end(self, container: _Container, exit_code: int, reason: str, message: str) -> None:
        container.status = dataclasses.replace(
            container.status,
            state=interface.EXITED,
            exit_code=exit_code,
            finished_at=self._now(),
            reason=reason,
            message=message,
        )
        self._say(container.status.id)

    def _say(self, id: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(id)


def _uid(container: _Container) -> str:
    return str(container.status.labels.get(interface.POD_UID, ""))
