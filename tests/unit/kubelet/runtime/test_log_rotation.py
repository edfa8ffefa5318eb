from __future__ import annotations

from pathlib import Path

from kubarium.component_base.clock import FakeClock
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.log_rotation import LogRotation
from tests.unit.kubelet.making import make_container


async def test_old_files_are_renamed_compressed_and_dropped(tmp_path: Path, clock: FakeClock) -> None:
    runtime = FakeRuntime(clock)
    sandbox = {
        "metadata": {"name": "web", "namespace": "default", "uid": "1"},
        "log_directory": str(tmp_path),
    }
    sandbox_id = await runtime.run_sandbox(sandbox)
    config = {"metadata": make_container(), "image": {"image": "busybox:1"}, "log_path": "0.log"}
    await runtime.start_container(await runtime.create_container(sandbox_id, config, sandbox))
    rotation = LogRotation(runtime, clock, max_bytes=10, max_files=3)
    for _ in range(4):
        (tmp_path / "0.log").write_text("more than ten bytes")
        await rotation.look()
        await clock.advance(60)
    names = names_in(tmp_path)
    assert names == ["0.log.20260101-000200.gz", "0.log.20260101-000300"]


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
