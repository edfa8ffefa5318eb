"""The file of the audit log: when it is full it gets a name with the time, and the oldest of those go."""

from __future__ import annotations

import gzip
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

from kubarium.component_base.clock import Clock

MEGABYTE = 1 << 20
_STAMP = "%Y-%m-%dT%H-%M-%S"  # audit.log becomes audit-2026-11-29T10-00-00.000.log


class RotatingFile:
    """Lines are never split. Zeros mean: 100 megabytes, and all old files are kept, for ever."""

    def __init__(
        self,
        path: str,
        clock: Clock,
        *,
        megabytes: int = 0,
        backups: int = 0,
        days: int = 0,
        compress: bool = False,
    ) -> None:
        self._path, self._clock = Path(path), clock
        self._limit = (megabytes or 100) * MEGABYTE
        self._backups, self._days, self._compress = backups, days, compress
        self._open()

    def write(self, line: bytes) -> None:
        """Add a line, to a new file if this one would become too large."""
        if self._size and self._size + len(line) > self._limit:
            self._rotate()
        self._file.write(line)
        self._size += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> None:
        # Open as long as the server runs; every line is written at once.
        self._file: IO[bytes] = self._path.open("ab", buffering=0)
        self._size = self._file.tell()

    def _rotate(self) -> None:
        self._file.close()
        now = self._clock.now()
        stamp = f"{now.strftime(_STAMP)}.{now.microsecond // 1000:03d}"
        aside = self._path.rename(self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}"))
        if self._compress:
            with gzip.open(f"{aside}.gz", "wb", compresslevel=6) as packed:
                packed.write(aside.read_bytes())
            aside.unlink()
        self._open()
        old = sorted(self._old_files().items(), reverse=True)  # the newest first
        for at, (time, path) in enumerate(old):
            too_many = self._backups and at >= self._backups
            too_old = self._days and time < now - timedelta(days=self._days)
            if too_many or too_old:
                path.unlink(missing_ok=True)

    def _old_files(self) -> dict[datetime, Path]:
        found = {}
        for path in self._path.parent.iterdir():
            prefix, suffix, name = f"{self._path.stem}-", self._path.suffix, path.name.removesuffix(".gz")
            if not name.startswith(prefix) or not name.endswith(suffix):
                continue
            text = name.removeprefix(prefix).removesuffix(suffix)
            try:
                time = datetime.strptime(text, f"{_STAMP}.%f")
            except ValueError:
                continue  # not one of ours
            found[time.replace(tzinfo=self._clock.now().tzinfo)] = path
        return found
