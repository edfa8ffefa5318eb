from __future__ import annotations

from pathlib import Path

import pytest

from kubelet.volumes.atomic_writer import Payload, write


def files(**texts: str) -> dict[str, Payload]:
    return {name.replace("__", "/"): Payload(text.encode(), 0o640) for name, text in texts.items()}


def test_files_are_seen_through_links(tmp_path: Path) -> None:
    assert write(tmp_path, files(a="1", d__b="2"))
    assert (tmp_path / "a").read_text() == "1" and (tmp_path / "d/b").read_text() == "2"
    assert (tmp_path / "a").is_symlink() and (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_the_same_content_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path, files(a="1"))
    before = (tmp_path / "..data").readlink()
    assert not write(tmp_path, files(a="1"))
    assert (tmp_path / "..data").readlink() == before


def test_a_change_replaces_everything_at_once(tmp_path: Path) -> None:
    write(tmp_path, files(a="1", b="2"))
    assert write(tmp_path, files(a="3", c="4"))
    assert sorted(entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")) == ["a", "c"]
    assert (tmp_path / "a").read_text() == "3"
    assert len(list(tmp_path.glob("..2*"))) == 1


@pytest.mark.parametrize("path", ["../a", "/a", "b/../../a", "..a"])
def test_a_path_may_not_lead_out(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        write(tmp_path, {path: Payload(b"", 0o644)})
