"""What the rest of the kubelet prepares for a pod's sandbox and containers, as values.

The runtime package is below volumes, images and network; they reach it through this small protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kubarium.apimachinery.object import Object
from kubelet.runtime.interface import Image, SandboxConfig


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """For the sandbox."""

    hostname: str
    log_directory: str
    dns: Mapping[str, Sequence[str]]
    cgroup_parent: str = ""
    resources: Mapping[str, Any] = field(default_factory=dict)
    overhead: Mapping[str, Any] = field(default_factory=dict)
    runtime_handler: str = ""
    user_ids: Sequence[Mapping[str, int]] = ()  # of a pod with users of its own
    warnings: Sequence[tuple[str, str]] = ()  # reason and text of what the pod did not get as it wants


@dataclass(frozen=True, slots=True)
class ContainerOptions:
    """For one container."""

    image_ref: str
    image: Image | None
    environment: Sequence[tuple[str, str]]
    mounts: Sequence[Mapping[str, Any]]
    resources: Mapping[str, Any]
    devices: Sequence[Mapping[str, Any]] = ()
    supplemental_groups: Sequence[int] = ()
    cdi_devices: Sequence[str] = ()
    user_ids: Sequence[Mapping[str, int]] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


class ContainerInputs(Protocol):
    """Prepares what a container needs. Raises `StartError` with the reason that the pod's status shows."""

    async def sandbox(self, pod: Object) -> SandboxOptions:
        """Options of the pod's sandbox."""
        ...

    def limits(self, pod: Object) -> Mapping[str, Mapping[str, Any]]:
        """What each container may use, by name, in the runtime's words."""
        ...

    async def pull(self, pod: Object, container: Object, sandbox: SandboxConfig) -> str:
        """Make sure that the image is there; returns the reference to use."""
        ...

    async def container(
        self, pod: Object, container: Object, image_ref: str, pod_ips: Sequence[str], attempt: int
    ) -> ContainerOptions:
        """Options of one container."""
        ...


class Recorder(Protocol):
    """Tells users what happened to their objects."""

    def event(self, obj: Object, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        """Record one event; never blocks."""
        ...
