from __future__ import annotations

from pathlib import Path

from kubarium.component_base.clock import FakeClock
from kubelet.runtime.fake import FakeRuntime
from kubelet.runtime.log_rotation import LogRotation
from tests.unit.kubelet.making import make_container


async def test_old_files_are_renamed_compressed_and_dropped(tmp_path: Path, clock: FakeClock) -> None:
    runtime = FakeRuntime(clock)
    await start_container(runtime, tmp_path)
    rotation = LogRotation(runtime, clock, max_bytes=10, max_files=3)
    for _ in range(4):
        (tmp_path / "0.log").write_text("more than ten bytes")
        await rotation.look()
        await clock.advance(60)
    names = names_in(tmp_path)
    assert names == ["0.log.20260101-000200.gz", "0.log.20260101-000300"]


async def test_a_log_that_was_renamed_and_not_opened_again_is_opened(
    tmp_path: Path, clock: FakeClock
) -> None:
    opened: list[str] = []

    class Runtime(FakeRuntime):
        async def reopen_log(self, container_id: str) -> None:
            opened.append(container_id)
            (tmp_path / "0.log").touch()

    runtime = Runtime(clock)
    container_id = await start_container(runtime, tmp_path)
    (tmp_path / "0.log").unlink(missing_ok=True)
    rotation = LogRotation(runtime, clock, max_bytes=10, max_files=3)
    for _ in range(2):
        await rotation.look()
    assert opened == [container_id]


async def start_container(runtime: FakeRuntime, logs: Path) -> str:
    sandbox = {
        "metadata": {"name": "web", "namespace": "default", "uid": "1"},
        "log_directory": str(logs),
    }
    sandbox_id = await runtime.run_sandbox(sandbox)
    config = {"metadata": make_container(), "image": {"image": "busybox:1"}, "log_path": "0.log"}
    container_id = await runtime.create_container(sandbox_id, config, sandbox)
    await runtime.start_container(container_id)
    return container_id


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())
