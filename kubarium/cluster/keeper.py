"""Keeps programs alive: starts them, reaps them, starts them again when they die.

    python -m kubarium.cluster.keeper PROGRAMS.json

One keeper runs on the host for the control plane and the nodes; each node has another one as pid 1 of its
pid namespace. It is the one part of the launcher that must never fail and that costs memory in every node:
hence plain system calls, the standard library only, and no event loop.

It is told what to do by one file and two signals: SIGHUP reads the file again (new programs start, those no
longer wanted stop), SIGTERM stops everything, highest rank first. What it knows it writes to `RUN/NAME.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kubarium.component_base.backoff import Backoff

RESTARTS = Backoff(initial=0.2, factor=2.0, maximum=10.0)
STABLE_SECONDS = 10.0  # who lived that long starts again without delay
LOG_LIMIT = 64 << 20  # bytes; a longer log file moves aside when its program starts again
SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(frozen=True)
class Program:
    """One program to keep alive."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: Mapping[str, str] = field(default_factory=dict)
    rank: int = 0  # the higher, the earlier it is stopped
    wanted: bool = True
    off_signal: int = int(signal.SIGTERM)
    grace: float = 10.0  # seconds between the polite signal and SIGKILL


@dataclass
class Child:
    """What the keeper knows of one program."""

    program: Program
    pid: int = 0  # 0 while it does not run
    started: float = 0.0  # monotonic
    due: float = 0.0  # monotonic; not started before
    kill_at: float = 0.0  # monotonic; 0 while it has not been asked to stop
    failures: int = 0  # in a row
    restarts: int = 0
    exit: str = ""


def write_programs(path: Path, programs: Iterable[Program], run: Path) -> None:
    """Write the file that a keeper reads, in one step."""
    document = {"run": str(run), "programs": [asdict(program) for program in programs]}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(document, indent=1))
    draft.replace(path)


def read_programs(path: Path) -> tuple[Path, list[Program]]:
    """The directory for reports, and the programs."""
    document = json.loads(path.read_text())
    programs = [Program(**(row | {"argv": tuple(row["argv"])})) for row in document["programs"]]
    return Path(document["run"]), programs


class Keeper:
    """The loop. `children` is keyed by program name; only this object starts or reaps them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._children: dict[str, Child] = {}
        self._stopping = False
        self._run = path.parent

    def run(self) -> None:
        """Keep everything alive until SIGTERM, then stop everything and return."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Pid 1 of a namespace gets only those signals for which it has a handler.
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._read()
        while not (self._stopping and not any(child.pid for child in self._children.values())):
            self._start_and_stop()
            self._wait()
            self._reap()

    def _wait(self) -> None:
        info = signal.sigtimedwait(SIGNALS, self._patience())
        if info is None:
            return
        if info.si_signo == signal.SIGHUP:
            self._read()
        elif info.si_signo in (signal.SIGTERM, signal.SIGINT):
            self._stopping = True

    def _patience(self) -> float:
        """Seconds until something is due."""
        now = time.monotonic()
        moments = [child.kill_at for child in self._children.values() if child.pid and child.kill_at]
        moments += [child.due for child in self._children.values() if not child.pid and child.program.wanted]
        return max(0.01, min((moment - now for moment in moments), default=60.0)) if moments else 60.0

    def _read(self) -> None:
        try:
            self._run, programs = read_programs(self._path)
            self._run.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError, TypeError) as error:
            report(f"cannot read {self._path}, going on as before: {error}")
            return
        wanted = {program.name: program for program in programs}
        for name, child in self._children.items():
            if name not in wanted:
                child.program = replace_wanted(child.program, False)
        for name, program in wanted.items():
            child = self._children.setdefault(name, Child(program))
            if child.pid and child.program.argv != program.argv:
                self._ask_to_stop(child)
            child.program, child.due = program, min(child.due, time.monotonic())

    def _start_and_stop(self) -> None:
        now = time.monotonic()
        running = [child for child in self._children.values() if child.pid]
        highest = max((child.program.rank for child in running), default=0)
        for child in list(self._children.values()):
            if child.pid and child.kill_at and now >= child.kill_at:
                send(child.pid, signal.SIGKILL)
                child.kill_at = now + 1.0
            elif child.pid and not child.kill_at and self._must_go(child, highest):
                self._ask_to_stop(child)
            elif not child.pid and child.program.wanted and not self._stopping and now >= child.due:
                self._start(child)
            elif not child.pid and not child.program.wanted and not self._stopping:
                self._forget_if_gone(child)

    def _must_go(self, child: Child, highest: int) -> bool:
        return not child.program.wanted or (self._stopping and child.program.rank == highest)

    def _ask_to_stop(self, child: Child) -> None:
        child.kill_at = time.monotonic() + child.program.grace
        send(child.pid, child.program.off_signal)

    def _start(self, child: Child) -> None:
        try:
            child.pid = spawn(child.program)
            child.started, child.kill_at = time.monotonic(), 0.0
        except OSError as error:
            report(f"cannot start {child.program.name}: {error}")
            child.exit = str(error)
            child.failures += 1
            child.restarts += 1
            child.due = time.monotonic() + RESTARTS.delay(child.failures)
        self._write(child)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # Anyone else is an orphan of this pid namespace: reaping it was all it needed.
            for child in self._children.values():
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        now = time.monotonic()
        code = os.waitstatus_to_exitcode(status)
        child.exit = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        asked = bool(child.kill_at)
        child.pid, child.kill_at = 0, 0.0
        if not asked:
            report(f"{child.program.name} ended: {child.exit}")
            child.failures = 0 if now - child.started >= STABLE_SECONDS else child.failures + 1
            child.restarts += 1
        child.due = now if asked else now + RESTARTS.delay(child.failures)
        self._write(child)

    def _write(self, child: Child) -> None:
        """Let others see pid, restarts and the last end."""
        known = {"pid": child.pid, "restarts": child.restarts, "exit": child.exit, "log": child.program.log}
        path = self._run / f"{child.program.name}.json"
        draft = path.with_suffix(".draft")
        try:
            draft.write_text(json.dumps(known))
            draft.replace(path)
        except OSError as error:  # a full disk: the programs live on
            report(f"cannot write {path}: {error}")

    def _forget_if_gone(self, child: Child) -> None:
        del self._children[child.program.name]
        (self._run / f"{child.program.name}.json").unlink(missing_ok=True)


def replace_wanted(program: Program, wanted: bool) -> Program:
    """The same program, wanted or not."""
    return Program(**(asdict(program) | {"wanted": wanted}))


def spawn(program: Program) -> int:
    """Start a program in its own session, with its output appended to its log; returns the pid."""
    log = Path(program.log)
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return os.posix_spawnp(
        program.argv[0],
        list(program.argv),
        {**os.environ, **program.env},
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE),
    )


def send(pid: int, number: int) -> None:
    """Signal a program and those it started in its session.

    A node's outermost process (`unshare`) ignores SIGTERM; the keeper inside, of the same session, does not.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def report(text: str) -> None:
    """One line into the keeper's own log."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f'time={moment} level=info component=keeper msg="{text}"\n'
    with contextlib.suppress(OSError):  # on a full disk nothing can be told, and the programs live on
        os.write(sys.stderr.fileno(), line.encode())


def keep_what_was_inherited() -> None:
    """The claim on the cluster's network is an open socket: for as long as we live, and not for our children."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the folder itself, which is closed by now
            if int(number) > 2:
                os.set_inheritable(int(number), False)


if __name__ == "__main__":
    keep_what_was_inherited()
    Keeper(Path(sys.argv[1])).run()
