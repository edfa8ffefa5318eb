"""Writes a set of files so that a reader sees either all old or all new ones.

<volume>/
  ..2026_01_01_12_00_00.123456/   the files
  ..data -> ..2026_…/             replaced by rename: the moment of change
  key    -> ..data/key            one link per first path element
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DATA, DATA_TMP = "..data", "..data_tmp"


@dataclass(frozen=True, slots=True)
class Payload:
    """One file."""

    content: bytes
    mode: int
    user: int | None = None


def write(directory: Path, files: Mapping[str, Payload]) -> bool:
    """Make the directory hold exactly these files; True if anything changed. Raises OSError or ValueError."""
    for path in files:
        if path.startswith("/") or ".." in path.split("/") or path.startswith(".."):
            raise ValueError(f"invalid path {path!r}")
    current = _current(directory)
    if current is not None and _holds(current, files):
        return False
    fresh = directory / f"..{datetime.now(UTC):%Y_%m_%d_%H_%M_%S}.{os.urandom(4).hex()}"
    fresh.mkdir(mode=0o755)
    fresh.chmod(0o755)
    for path, payload in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(payload.content)
        target.chmod(payload.mode)
        if payload.user is not None:
            os.chown(target, payload.user, -1)
    temporary = directory / DATA_TMP
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(fresh.name)
    os.rename(temporary, directory / DATA)
    _link(directory, {path.split("/")[0] for path in files})
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)
    return True


def _current(directory: Path) -> Path | None:
    try:
        return directory / os.readlink(directory / DATA)
    except OSError:
        return None


def _holds(current: Path, files: Mapping[str, Payload]) -> bool:
    present = {str(path.relative_to(current)) for path in current.rglob("*") if path.is_file()}
    if present != set(files):
        return False
    return all((current / path).read_bytes() == payload.content for path, payload in files.items())


def _link(directory: Path, names: set[str]) -> None:
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if entry.is_symlink() and entry.name not in names and not entry.name.startswith(".."):
            entry.unlink()
