"""What `/debug/pprof/` shows of a Python program: its command line, and where each of its tasks stands.

Upstream's pages show what Go's runtime knows. Tasks are to asyncio what goroutines are to Go, so they are shown under
that name and in that form. Heap, mutexes and samples of the CPU are not shown: there is no honest counterpart.
Source: https://pkg.go.dev/net/http/pprof
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from kubarium.component_base.serving import Page

TEXT = "text/plain; charset=utf-8"
_INDEX = b"""<html>
<head><title>/debug/pprof/</title></head>
<body>
Profiles that a Python program has:
<ul>
<li><a href="goroutine?debug=2">goroutine</a>: the stack of every task</li>
<li><a href="cmdline">cmdline</a>: the command line, its arguments separated by NUL</li>
</ul>
</body>
</html>
"""


def pages() -> dict[str, Page]:
    """By path."""

    async def index(scope: Mapping[str, Any]) -> tuple[int, str, bytes]:
        return 200, "text/html; charset=utf-8", _INDEX

    async def command_line(scope: Mapping[str, Any]) -> tuple[int, str, bytes]:
        return 200, TEXT, "\0".join(sys.orig_argv).encode()

    async def tasks(scope: Mapping[str, Any]) -> tuple[int, str, bytes]:
        return 200, TEXT, stacks().encode()

    return {"/debug/pprof": index, "/debug/pprof/cmdline": command_line, "/debug/pprof/goroutine": tasks}


def stacks() -> str:
    """Every task of this loop, innermost call first, as Go writes goroutines."""
    current = asyncio.current_task()
    blocks = []
    for number, task in enumerate(sorted(asyncio.all_tasks(), key=lambda task: task.get_name()), start=1):
        state = "running" if task is current else "waiting"
        calls = [f"{name}()\n\t{file}:{line}" for name, file, line in _calls(task.get_coro())]
        blocks.append("\n".join([f"goroutine {number} [{state}, {task.get_name()}]:", *reversed(calls)]))
    return "\n\n".join(blocks) + "\n"


def _calls(awaited: Any) -> Iterator[tuple[str, str, int]]:
    """From a coroutine down to what it waits for."""
    while awaited is not None:
        for kind in ("cr", "gi", "ag"):
            if hasattr(awaited, f"{kind}_frame"):
                break
        else:
            return
        frame, code = getattr(awaited, f"{kind}_frame"), getattr(awaited, f"{kind}_code")
        if frame is not None:
            yield code.co_qualname, code.co_filename, frame.f_lineno
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
