"""A full file of the audit log gets a name with the time; old ones go by number and by age."""

from pathlib import Path

from apiserver.filters.audit_file import MEGABYTE, RotatingFile
from kubarium.component_base.clock import FakeClock

LINE = b"x" * (MEGABYTE * 2 // 3) + b"\n"
HOURS = 3600


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def write(file: RotatingFile, clock: FakeClock, times: int) -> None:
    for _ in range(times):
        file.write(LINE)
        await clock.advance(12 * HOURS)


async def test_a_full_file_is_put_aside(tmp_path: Path) -> None:
    clock = FakeClock()
    (tmp_path / "audit.log").write_bytes(LINE)
    (tmp_path / "audit-of-mine.log").touch()
    file = RotatingFile(str(tmp_path / "audit.log"), clock, megabytes=1, backups=2)
    await write(file, clock, 1)
    assert (tmp_path / "audit-2026-01-01T00-00-00.000.log").read_bytes() == LINE
    await write(file, clock, 3)
    file.close()
    assert names(tmp_path) == [
        "audit-2026-01-02T00-00-00.000.log",
        "audit-2026-01-02T12-00-00.000.log",
        "audit-of-mine.log",
        "audit.log",
    ]
    assert (tmp_path / "audit.log").read_bytes() == LINE


async def test_old_files_go_after_some_days(tmp_path: Path) -> None:
    clock = FakeClock()
    file = RotatingFile(str(tmp_path / "audit.log"), clock, megabytes=1, days=1)
    await write(file, clock, 6)
    file.close()
    assert names(tmp_path) == [
        "audit-2026-01-02T12-00-00.000.log",
        "audit-2026-01-03T00-00-00.000.log",
        "audit-2026-01-03T12-00-00.000.log",
        "audit.log",
    ]
