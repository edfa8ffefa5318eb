"""Dead containers and sandboxes that nobody will ask about any more.

Of each container of a living pod the newest dead one stays, for `kubectl logs --previous` and the last state.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from kubarium.component_base import logging
from kubelet.runtime import interface
from kubelet.runtime.interface import Container, ContainerRuntimeError, Runtime

log = logging.get(__name__)


async def collect(
    runtime: Runtime, is_gone: Callable[[str], bool], logs: Path | None = None, keep: int = 1
) -> None:
    """Remove superfluous dead containers, then sandboxes that are empty and down, with their pods' logs."""
    containers = await runtime.list_containers()
    sandboxes = await runtime.list_sandboxes()
    doomed = superfluous(containers, is_gone, keep)
    for container in doomed:
        await remove_container(runtime, container.id)
    removed = {container.id for container in doomed}
    occupied = {container.sandbox_id for container in containers if container.id not in removed}
    newest: dict[str, int] = defaultdict(int)
    for sandbox in sandboxes:
        newest[sandbox.pod_uid] = max(newest[sandbox.pod_uid], sandbox.created_at)
    for sandbox in sandboxes:
        is_old = is_gone(sandbox.pod_uid) or sandbox.created_at < newest[sandbox.pod_uid]
        if sandbox.state != interface.READY and sandbox.id not in occupied and is_old:
            await _try(runtime.stop_sandbox, sandbox.id)
            await _try(runtime.remove_sandbox, sandbox.id)
            if logs is not None and is_gone(sandbox.pod_uid):
                shutil.rmtree(
                    logs / f"{sandbox.namespace}_{sandbox.name}_{sandbox.pod_uid}", ignore_errors=True
                )


async def remove_container(runtime: Runtime, id: str) -> None:
    """Remove a dead container with its log and what the rotation has left of it."""
    try:
        log_path = Path((await runtime.container_status(id)).log_path)
        if log_path.name:
            for file in log_path.parent.glob(f"{log_path.name}*"):
                file.unlink(missing_ok=True)
        await runtime.remove_container(id)
    except (ContainerRuntimeError, OSError) as error:
        log.warning("container %s not removed: %s", id, error)


def superfluous(
    containers: Collection[Container], is_gone: Callable[[str], bool], keep: int
) -> list[Container]:
    """Dead containers beyond the newest `keep` of each name, and all of pods that are gone."""
    dead: dict[tuple[str, str], list[Container]] = defaultdict(list)
    for container in containers:
        is_unstarted = container.state == interface.CREATED  # of a pod that went while it was being started
        if container.state in (interface.EXITED, interface.UNKNOWN) or (
            is_unstarted and is_gone(container.pod_uid)
        ):
            dead[container.pod_uid, container.name].append(container)
    doomed = []
    for (pod_uid, _), group in dead.items():
        group.sort(key=lambda container: (container.created_at, container.attempt), reverse=True)
        doomed += group if is_gone(pod_uid) else group[keep:]
    return doomed


async def _try(remove: Callable[[str], Awaitable[None]], id: str) -> None:
    try:
        await remove(id)
    except ContainerRuntimeError as error:
        log.warning("%s not removed: %s", id, error)
