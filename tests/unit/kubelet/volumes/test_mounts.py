from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubelet.volumes import mounts, ownership


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "evil").symlink_to("/etc")
    with pytest.raises(OSError, match=r"symbolic link|Not a directory"):
        mounts.open_below(str(tmp_path), "evil/passwd", create=False)
    with pytest.raises(OSError, match="leaves its volume"):
        mounts.bind_below(str(tmp_path), "evil", tmp_path / "target", create=False)


def test_missing_directories_are_made(tmp_path: Path) -> None:
    os.close(mounts.open_below(str(tmp_path), "a/b", create=True))
    assert (tmp_path / "a/b").is_dir()


def test_ownership(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    (tmp_path / "f").chmod(0o600)
    ownership.set_ownership(str(tmp_path), os.getgid(), read_only=True)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640
    assert tmp_path.stat().st_mode & 0o2000
