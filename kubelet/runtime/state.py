"""What the runtime says of one pod, gathered into one value."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from kubelet.runtime import interface, termination
from kubelet.runtime.interface import ContainerStatus, Runtime, Sandbox


@dataclass(frozen=True, slots=True)
class PodState:
    """Sandboxes and containers of one pod, newest first."""

    uid: str
    sandboxes: tuple[Sandbox, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The newest sandbox."""
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ips(self) -> tuple[str, ...]:
        """Addresses of the newest sandbox while it is up."""
        newest = self.sandbox
        return newest.ips if newest is not None and newest.state == interface.READY else ()

    def all_of(self, name: str) -> list[ContainerStatus]:
        """Every container of that name, newest first."""
        return [container for container in self.containers if container.name == name]

    def latest(self, name: str) -> ContainerStatus | None:
        """The newest container of that name."""
        return next((container for container in self.containers if container.name == name), None)

    def running(self) -> list[ContainerStatus]:
        """Containers that run."""
        return [container for container in self.containers if container.state == interface.RUNNING]

    @property
    def is_running(self) -> bool:
        """Does anything of the pod run or hold resources?"""
        return bool(self.running()) or any(sandbox.state == interface.READY for sandbox in self.sandboxes)


def newest_first(containers: Iterable[ContainerStatus]) -> tuple[ContainerStatus, ...]:
    """Order containers by age; the attempt decides between two of the same moment."""
    return tuple(sorted(containers, key=lambda one: (one.created_at, one.attempt), reverse=True))


async def read(runtime: Runtime, pod_uid: str) -> PodState:
    """Ask the runtime about one pod. A container that vanishes meanwhile is left out."""
    listed, found = await asyncio.gather(runtime.list_sandboxes(pod_uid), runtime.list_containers(pod_uid))
    listed.sort(key=lambda sandbox: (sandbox.created_at, sandbox.attempt), reverse=True)
    sandboxes = list(listed)
    if sandboxes and sandboxes[0].state == interface.READY:
        try:
            sandboxes[0] = await runtime.sandbox_status(sandboxes[0].id)
        except interface.NotFound:
            sandboxes.pop(0)
    statuses = []
    for container in found:
        try:
            status = await runtime.container_status(container.id)
        except interface.NotFound:
            continue
        message = termination.message_of(status) if status.state == interface.EXITED else status.message
        statuses.append(dataclasses.replace(status, sandbox_id=container.sandbox_id, message=message))
    return PodState(pod_uid, tuple(sandboxes), newest_first(statuses))
