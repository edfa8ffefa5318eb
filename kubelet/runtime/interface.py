"""What the kubelet asks of a container runtime, in values that any runtime can give.

Configurations (`SandboxConfig`, `ContainerConfig`) are plain dicts with the field names of the CRI, because every
runtime behind this interface either speaks the CRI or translates from it. Observations are frozen values.

    ContainerRuntimeError
    ├── NotFound          the thing is gone: for a removal that is success
    ├── Unsupported       this runtime does not have the feature
    ├── DeadlineExceeded  a command or call took too long
    └── Unavailable       the runtime does not answer
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

SandboxConfig = dict[str, Any]
ContainerConfig = dict[str, Any]

POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"

CONTAINER_HASH = "io.kubernetes.container.hash"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_MESSAGE_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_MESSAGE_POLICY = "io.kubernetes.container.terminationMessagePolicy"
POD_TERMINATION_GRACE_PERIOD = "io.kubernetes.pod.terminationGracePeriod"
POD_DELETION_GRACE_PERIOD = "io.kubernetes.pod.deletionGracePeriod"
PRE_STOP_HANDLER = "io.kubernetes.container.preStopHandler"
CONTAINER_PORTS = "io.kubernetes.container.ports"
MEMORY_REQUEST = (
    "io.kubernetes.container.memoryRequest"  # the runtime knows no such thing; upstream keeps a file
)

CREATED = "created"
RUNNING = "running"
EXITED = "exited"
UNKNOWN = "unknown"

READY = "ready"
NOT_READY = "notready"


class ContainerRuntimeError(Exception):
    """The runtime refused or failed; the text is the runtime's own."""


class NotFound(ContainerRuntimeError):
    """The sandbox, container or image is not there."""


class Unsupported(ContainerRuntimeError):
    """This runtime does not offer the call."""


class DeadlineExceeded(ContainerRuntimeError):
    """The call or the command did not end in time."""


class Unavailable(ContainerRuntimeError):
    """The runtime does not answer at all."""


CODES: dict[type[ContainerRuntimeError], str] = {
    NotFound: "NotFound",
    Unsupported: "Unimplemented",
    DeadlineExceeded: "DeadlineExceeded",
    Unavailable: "Unavailable",
}


def rpc_text(error: Exception) -> str:
    """Upstream shows the runtime's error as Go prints one of gRPC, and the system's as Go does."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    if not isinstance(error, ContainerRuntimeError):
        return str(error)
    return f"rpc error: code = {CODES.get(type(error), 'Unknown')} desc = {error}"


class StartError(Exception):
    """A container cannot be started now; reason and message are shown as its waiting state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A pod's place in the world: its network and its other shared namespaces."""

    id: str
    name: str
    namespace: str
    pod_uid: str
    attempt: int
    state: str  # READY or NOT_READY
    created_at: int  # nanoseconds
    ips: tuple[str, ...] = ()  # only in answers of `sandbox_status`
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Container:
    """One line of the list of containers."""

    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: str
    created_at: int
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def pod_uid(self) -> str:
        """The pod this container belongs to."""
        return self.labels.get(POD_UID, "")


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """All that is known of one container."""

    id: str
    name: str
    attempt: int
    state: str
    created_at: int
    started_at: int
    finished_at: int
    exit_code: int
    image: str  # as it was asked for
    image_ref: str  # digest or id
    reason: str
    message: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    mounts: tuple[tuple[str, str, bool], ...] = ()  # host path, container path, read-only
    log_path: str = ""
    resources: Mapping[str, int] | None = None  # cpu_shares, cpu_quota, cpu_period, memory_limit_in_bytes
    user: Mapping[str, Any] | None = None
    sandbox_id: str = ""  # filled in by whoever knows the list of containers

    @property
    def restart_count(self) -> int:
        """How many containers of this name came before in the pod."""
        text = self.annotations.get(RESTART_COUNT, "")
        return int(text) if text.isdigit() else self.attempt

    @property
    def was_started(self) -> bool:
        """Has its process run, or has the runtime given up to start it?

        What a kubelet or a runtime made just before it was killed was not; a runtime that lost it meanwhile calls its
        state unknown.
        """
        return self.state in (RUNNING, EXITED) or (self.state == UNKNOWN and self.started_at > 0)

    @property
    def hash(self) -> str:
        """The fingerprint of the container's definition when it was made."""
        return self.annotations.get(CONTAINER_HASH, "")


@dataclass(frozen=True, slots=True)
class Image:
    """An image on this node."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    size: int
    uid: int | None = None
    username: str = ""
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class ImageView:
    """How the files of an image are mounted read-only: the arguments of mount(8)."""

    kind: str
    source: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """What a container uses now."""

    id: str
    name: str
    labels: Mapping[str, str]
    timestamp: int = 0  # nanoseconds
    cpu_nanoseconds: int = 0  # since the start
    memory_working_set: int = 0
    memory_usage: int = 0
    memory_rss: int = 0
    filesystem_used: int = 0
    inodes_used: int = 0


@dataclass(frozen=True, slots=True)
class SandboxUsage:
    """What a sandbox's network carried."""

    id: str
    pod_uid: str
    timestamp: int = 0
    interface: str = "eth0"
    rx_bytes: int = 0
    rx_errors: int = 0
    tx_bytes: int = 0
    tx_errors: int = 0
    process_count: int = 0


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in a container said, and how it ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class RuntimeCondition:
    """RuntimeReady or NetworkReady."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class RuntimeHandler:
    """One way to run containers, as RuntimeClasses name it; the default one has no name."""

    name: str = ""
    recursive_read_only_mounts: bool = False
    user_namespaces: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """Name and version of the runtime, and what it can do as far as it says so."""

    name: str
    version: str
    handlers: tuple[RuntimeHandler, ...] = ()
    supplemental_groups_policy: bool | None = None
    sandbox_image: str = ""  # the image of sandboxes themselves, which no container names
    takes_images: bool = False  # may a mount of a container name an image?
    knows_cdi: bool = False  # may a container name devices of the Container Device Interface?

    def handler(self, name: str) -> RuntimeHandler | None:
        """One way of running containers; None when the runtime does not speak of it."""
        return next((one for one in self.handlers if one.name == name), None)

    def mounts_recursively_read_only(self, handler: str) -> bool:
        """Can a mount be read-only with all that is mounted below it?"""
        found = self.handler(handler)
        return found is not None and found.recursive_read_only_mounts


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to log in to a registry."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server: str = ""


class Runtime(Protocol):
    """A container runtime. Every call may raise `ContainerRuntimeError`; removals of absent things succeed."""

    async def version(self) -> RuntimeInfo:
        """Who are you?"""
        ...

    async def conditions(self) -> list[RuntimeCondition]:
        """Are you ready, and is your network?"""
        ...

    async def run_sandbox(self, config: SandboxConfig, handler: str = "") -> str:
        """Make and start a sandbox; returns its id."""
        ...

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop everything in it and give back its network."""
        ...

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget a sandbox and its containers."""
        ...

    async def list_sandboxes(self, pod_uid: str = "") -> list[Sandbox]:
        """All sandboxes, or those of one pod."""
        ...

    async def sandbox_status(self, sandbox_id: str) -> Sandbox:
        """One sandbox with its addresses."""
        ...

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        """Make a container; returns its id."""
        ...

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        ...

    async def stop_container(self, container_id: str, grace: int) -> None:
        """Ask the container to end, kill it after `grace` seconds; returns when it has ended."""
        ...

    async def remove_container(self, container_id: str) -> None:
        """Forget a container."""
        ...

    async def list_containers(self, pod_uid: str = "") -> list[Container]:
        """All containers, or those of one pod."""
        ...

    async def container_status(self, container_id: str) -> ContainerStatus:
        """All about one container."""
        ...

    async def update_container_resources(self, container_id: str, resources: Mapping[str, Any]) -> None:
        """Change the limits of a running container."""
        ...

    async def reopen_log(self, container_id: str) -> None:
        """The log file was renamed: open a new one."""
        ...

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: float = 0) -> ExecResult:
        """Run a command to its end."""
        ...

    async def exec_url(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Where a stream to a new command can be had, once."""
        ...

    async def attach_url(
        self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        """Where a stream to the container's main process can be had, once."""
        ...

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """Where streams to ports of the sandbox can be had, once."""
        ...

    async def list_images(self) -> list[Image]:
        """All images."""
        ...

    async def image_status(self, image: str) -> Image | None:
        """One image, by any of its names."""
        ...

    async def pull_image(
        self, image: str, credentials: Credentials | None, sandbox: SandboxConfig | None
    ) -> str:
        """Fetch an image; returns what to refer to it by."""
        ...

    async def remove_image(self, image: str) -> None:
        """Delete an image."""
        ...

    async def view_image(self, image: str, key: str) -> ImageView | None:
        """How to mount an image's files; None when a container's mount may simply name the image.

        The files stay until the view is given back, even if the image is removed.
        """
        ...

    async def give_back_view(self, key: str) -> None:
        """The view is no longer mounted."""
        ...

    async def image_filesystem(self) -> tuple[str, int, int]:
        """Where images are kept, bytes and inodes used."""
        ...

    async def container_usage(self) -> list[ContainerUsage]:
        """What every container uses."""
        ...

    async def sandbox_usage(self) -> list[SandboxUsage]:
        """What every sandbox's network carried; empty when the runtime cannot tell."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Ids of containers and sandboxes that ended, or ran out of memory: hints, which may be lost."""
        ...

    async def close(self) -> None:
        """Let go of the runtime; what runs goes on running."""
        ...
