"""One process: signals, one group of tasks, an ordered stop.

async def main(process: Process) -> None:
    ...build the parts...
    process.start("reflector pods", reflector.run())
    await process.stopped()

sys.exit(run(main))
"""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from kubarium.component_base import logging

log = logging.get(__name__)

STOP_SECONDS = 20.0  # how long each task may take to end after it was cancelled


class Process:
    """Parent of every task of a program.

    A task that ends with an exception stops the whole process with exit code 1: a component without one
    of its loops must not look alive. Tasks are stopped in the reverse order of their start.
    """

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self.exit_code = 0
        self.patience = STOP_SECONDS  # how long `main` may take to return once it has been asked to

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a background loop until the process stops."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._task_ended)
        self._tasks.append(task)
        return task

    def stop(self, exit_code: int = 0) -> None:
        """Ask the process to end."""
        self.exit_code = self.exit_code or exit_code
        self._stopping.set()

    async def stopped(self) -> None:
        """Return when the process has been asked to end."""
        await self._stopping.wait()

    async def close(self) -> None:
        """Cancel every task, newest first, and wait for its end."""
        for task in reversed(self._tasks):
            if task.done():
                continue
            task.cancel()
            await asyncio.wait([task], timeout=STOP_SECONDS)
            if not task.done():
                log.warning("task %s did not end within %.0f s", task.get_name(), STOP_SECONDS)

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        if task in self._tasks:
            self._tasks.remove(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("task %s failed: %s", task.get_name(), error, exc_info=error)
            self.stop(1)


def allow_many_files() -> None:
    """Open as many files and connections as the machine allows: Go's programs do so by themselves."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(main: Callable[[Process], Awaitable[None]]) -> int:
    """Run a program until SIGTERM, SIGINT or the end of `main`; returns the exit code."""

    async def supervised() -> int:
        process = Process()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_hear)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, process.stop)
        body: asyncio.Future[None] = asyncio.ensure_future(_until_exit(main(process), process))
        stop = asyncio.ensure_future(process.stopped())
        try:
            await asyncio.wait([body, stop], return_when=asyncio.FIRST_COMPLETED)
            if not body.done():
                # `main` normally returns by itself once `stopped()` has returned.
                await asyncio.wait([body], timeout=process.patience)
            if not body.done():
                body.cancel()
                await asyncio.wait([body], timeout=STOP_SECONDS)
            if body.done() and not body.cancelled() and (error := body.exception()) is not None:
                log.error("%s", error, exc_info=error)
                process.exit_code = 1
        finally:
            stop.cancel()
            await process.close()
        return process.exit_code

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(supervised())


def _hear(loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
    """Whatever the loop cannot tell anybody else is logged, but for what is no problem.

    If a connection is given up in the very moment in which TLS is agreed upon (a probe's second is over), uvloop
    closes it and still wants to send the last word of the handshake (`create_connection` and `_do_read` of its TLS).
    """
    error = told.get("exception")
    if isinstance(error, RuntimeError) and str(error).endswith("the handler is closed"):
        log.debug("a connection was given up: %s", error)
    else:
        loop.default_exception_handler(told)


async def _until_exit(work: Awaitable[None], process: Process) -> None:
    """`--help`, `--version` and flags that nobody knows end a program in its middle."""
    try:
        await work
    except SystemExit as leaving:
        process.exit_code = leaving.code if isinstance(leaving.code, int) else 1
