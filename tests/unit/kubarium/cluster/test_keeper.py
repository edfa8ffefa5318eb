"""A keeper in a process of its own: starts, restarts, stops in order, follows new orders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubarium.cluster import keeper
from kubarium.cluster.keeper import Program

SLEEPER = ("sleep", "1000")


class Kept:
    """A keeper and what it reports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def order(self, *programs: Program) -> None:
        keeper.write_programs(self.folder / "programs.json", programs, self.folder / "run")
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)
        else:
            argv = [sys.executable, "-m", "kubarium.cluster.keeper", str(self.folder / "programs.json")]
            self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)

    def report(self, name: str) -> dict[str, Any]:
        path = self.folder / "run" / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def until(self, fact: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not fact():
            assert time.monotonic() < deadline, "nothing happened"
            time.sleep(0.01)

    def running(self, name: str) -> int:
        self.until(lambda: bool(self.report(name).get("pid")))
        return int(self.report(name)["pid"])


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    if found.process is not None:
        found.process.terminate()
        found.process.wait(60)


def program(folder: Path, name: str, *argv: str, **more: Any) -> Program:
    return Program(name, argv or SLEEPER, str(folder / f"{name}.log"), **more)


def test_a_killed_program_starts_again(kept: Kept) -> None:
    kept.order(program(kept.folder, "a"))
    first = kept.running("a")
    os.kill(first, signal.SIGKILL)
    kept.until(lambda: kept.report("a").get("pid") not in (0, first))
    assert kept.report("a")["restarts"] == 1
    assert kept.report("a")["exit"] == "SIGKILL"


def test_a_program_that_is_not_wanted_any_more_is_stopped(kept: Kept) -> None:
    kept.order(program(kept.folder, "a"), program(kept.folder, "b"))
    pid = kept.running("b")
    kept.order(program(kept.folder, "a"))
    kept.until(lambda: not Path(f"/proc/{pid}").exists() and not kept.report("b"))
    assert Path(f"/proc/{kept.running('a')}").exists()


def test_other_flags_mean_a_new_process(kept: Kept) -> None:
    kept.order(program(kept.folder, "a"))
    first = kept.running("a")
    kept.order(program(kept.folder, "a", "sleep", "2000"))
    kept.until(lambda: kept.report("a").get("pid") not in (0, first))
    assert kept.report("a")["restarts"] == 0


def test_the_highest_rank_stops_first(kept: Kept) -> None:
    order = kept.folder / "order"
    script = f"trap 'echo $0 >> {order}; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    for_each = [(f"p{rank}", rank) for rank in (1, 3, 2)]
    kept.order(*(program(kept.folder, name, "sh", "-c", script, name, rank=rank) for name, rank in for_each))
    for name, _ in for_each:
        kept.until(lambda name=name: "up" in log_of(kept, name))  # type: ignore[misc]
    assert kept.process is not None
    kept.process.terminate()
    assert kept.process.wait(60) == 0
    assert order.read_text().split() == ["p3", "p2", "p1"]


def test_who_does_not_listen_is_killed(kept: Kept) -> None:
    deaf = program(kept.folder, "deaf", "sh", "-c", "trap '' TERM; echo up; sleep 1000 & wait", grace=0.2)
    kept.order(deaf)
    kept.until(lambda: "up" in log_of(kept, "deaf"))
    pid = kept.running("deaf")
    kept.order()
    kept.until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_program_that_cannot_start_is_reported(kept: Kept) -> None:
    kept.order(program(kept.folder, "a", "/no/such/program"))
    kept.until(lambda: "No such file" in kept.report("a").get("exit", ""))


def log_of(kept: Kept, name: str) -> str:
    path = kept.folder / f"{name}.log"
    return path.read_text() if path.exists() else ""


def test_a_report_that_cannot_be_written(kept: Kept) -> None:
    (kept.folder / "run" / "one.draft").mkdir(parents=True)
    kept.order(program(kept.folder, "one"), program(kept.folder, "other"))
    kept.running("other")
    assert kept.process is not None and kept.process.poll() is None
    assert kept.report("one") == {}
