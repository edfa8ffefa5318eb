"""How full volumes are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from kubarium.component_base.clock import FakeClock
from kubelet.volumes import measure
from kubelet.volumes.manager import VolumeManager
from kubelet.volumes.plugin import Mounted, Plugin
from kubelet.volumes.plugins.empty_dir import EmptyDir
from kubelet.volumes.usage import VolumeUsage
from tests.unit.kubelet.making import make_container, make_pod


class Quiet:
    """Nobody is told."""

    def event(self, *_: Any, **__: Any) -> None: ...


class Measured(Plugin):
    """A kind whose volumes tell how full they are."""

    name = "measured"

    def supports(self, volume: Any) -> bool:
        return "measured" in volume

    async def set_up(self, pod: Any, volume: Any, directory: Path) -> Mounted:
        return Mounted("/somewhere")

    async def tear_down(self, directory: Path) -> None: ...

    async def usage(self, pod: Any, volume: Any, mounted: Mounted) -> Any:
        return {"usedBytes": 30}


async def test_volumes_are_measured_every_minute(tmp_path: Path, clock: FakeClock) -> None:
    plugins: list[Plugin] = [EmptyDir(), Measured()]
    manager = VolumeManager(tmp_path, plugins, None, Quiet())  # type: ignore[arg-type]
    volumes = [{"name": "scratch", "emptyDir": {}}, {"name": "told", "measured": {}}]
    pod = make_pod(make_container(), volumes=volumes)
    await manager.set_up(pod)
    (tmp_path / "pods/uid-1/volumes/kubernetes.io~empty-dir/scratch/file").write_bytes(b"x" * 5000)
    usage = VolumeUsage(manager, clock, lambda: [pod])
    task = asyncio.create_task(usage.run())
    async with asyncio.timeout(60):
        while not usage.of("uid-1"):
            await clock.advance(5)
            await asyncio.sleep(0.01)
    found = {one["name"]: one for one in usage.of("uid-1")}
    assert found["scratch"]["usedBytes"] >= 5000 and found["scratch"]["inodesUsed"] == 1
    assert found["told"]["usedBytes"] == 30 and "pvcRef" not in found["told"]
    assert not list(usage.claims())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_place_that_is_gone(tmp_path: Path) -> None:
    assert await measure.of_directory(str(tmp_path / "none")) is None
