"""A Ctrl-C while modules are read is no reason for a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

START = (
    "import sys; from kubarium.component_base import interrupted; interrupted.imported(sys.argv[1]).main()"
)
SLOW = "import signal\nprint('reading', flush=True)\nsignal.pause()\n"
READY = "import signal\ndef main():\n    print('ready', flush=True)\n    signal.pause()\n"


def end_of(folder: Path, name: str, source: str) -> tuple[int, str]:
    """Exit code and complaints of a program that gets a SIGINT once it has said something."""
    (folder / f"{name}.py").write_text(source)
    argv = [sys.executable, "-c", START, name]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=folder, stdout=pipe, stderr=pipe, text=True) as program:
        assert program.stdout is not None and program.stdout.readline()
        program.send_signal(signal.SIGINT)
        _, complaints = program.communicate(timeout=60)
        return program.returncode, complaints


def test_before_and_after(tmp_path: Path) -> None:
    assert end_of(tmp_path, "slow", SLOW) == (-signal.SIGINT, "")
    assert "KeyboardInterrupt" in end_of(tmp_path, "ready", READY)[1]
