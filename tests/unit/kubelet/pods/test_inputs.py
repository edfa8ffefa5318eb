"""Files that the containers of a pod share."""

from __future__ import annotations

import os
from pathlib import Path

from kubelet.pods.inputs import write_unless_same


def test_a_file_that_others_may_be_reading_is_not_written_again(tmp_path: Path) -> None:
    file = tmp_path / "etc-hosts"
    write_unless_same(file, "one")
    os.utime(file, (1, 1))
    write_unless_same(file, "one")
    assert file.stat().st_mtime == 1
    write_unless_same(file, "two")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("two", 0o644)
