"""The same pods without a kubelet: what one kubelet asked of its runtime, asked again of a runtime alone.

Of a pod's start these are the calls that nobody can leave out: RunPodSandbox, CreateContainer, StartContainer, with the
kubelet's own requests (network, cgroups, mounts, logs, security), as many at a time as the kubelet lets start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from kubelet.runtime.cri import CRIRuntime
from kubelet.runtime.interface import ContainerConfig, SandboxConfig
from kubelet.runtime.manager import PARALLEL_STARTS


class OverheardRuntime(CRIRuntime):
    """The kubelet's door to its runtime, which remembers what was last asked."""

    sandbox: SandboxConfig
    container: ContainerConfig

    async def run_sandbox(self, config: SandboxConfig, handler: str = "") -> str:
        self.sandbox = config
        return await super().run_sandbox(config, handler)

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        self.container = config
        return await super().create_container(sandbox_id, config, sandbox)


class BareRuntime:
    """A runtime that gets the requests of one pod of a kubelet again, under other names, with files elsewhere.

    Elsewhere, because a kubelet clears up directories of pods that it does not know.
    """

    def __init__(
        self, runtime: CRIRuntime, overheard: OverheardRuntime, uid: str, elsewhere: Mapping[str, str]
    ) -> None:
        self._runtime = runtime
        self._mounted = [Path(mount["host_path"]) for mount in overheard.container["mounts"]]
        requests = orjson.dumps([overheard.sandbox, overheard.container])
        for place, other in elsewhere.items():
            requests = requests.replace(place.encode(), other.encode())
        self._requests = requests
        self._uid = uid  # of that pod, which is its name, too
        self._starts = asyncio.Semaphore(PARALLEL_STARTS)

    def prepare(self, names: Sequence[str]) -> list[tuple[SandboxConfig, ContainerConfig]]:
        """The requests for pods of these names, and the files that they mention."""
        found = []
        for name in names:
            sandbox, container = orjson.loads(self._requests.replace(self._uid.encode(), name.encode()))
            for original, mount in zip(self._mounted, container["mounts"], strict=True):
                _make_like(original, Path(mount["host_path"]))
            Path(sandbox["log_directory"], container["metadata"]["name"]).mkdir(parents=True)
            found.append((sandbox, container))
        return found

    async def start(self, requests: Sequence[tuple[Any, Any]]) -> None:
        """Start these pods."""
        await asyncio.gather(*(self._start(*one) for one in requests))

    async def _start(self, sandbox: SandboxConfig, container: ContainerConfig) -> None:
        async with self._starts:
            sandbox_id = await self._runtime.run_sandbox(sandbox)
        async with self._starts:
            container_id = await self._runtime.create_container(sandbox_id, container, sandbox)
            await self._runtime.start_container(container_id)


def _make_like(original: Path, place: Path) -> None:
    if original.is_dir():
        place.mkdir(parents=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
