"""Running the system's own tools: `ip`, `nft`, `ctr`."""

from __future__ import annotations

import asyncio

from kubarium.component_base import logging

log = logging.get(__name__)


class CommandError(Exception):
    """A tool ended with an error; the text is what it said."""

    def __init__(self, argv: tuple[str, ...], code: int, output: str) -> None:
        super().__init__(f"{' '.join(argv)}: exit code {code}: {output.strip()}")
        self.code = code
        self.output = output


async def run(*argv: str, stdin: str | None = None, timeout: float = 60.0) -> str:
    """Run a tool to its end and return its output; raises `CommandError` when it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode() if stdin else None), timeout)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise CommandError(argv, -9, f"did not end within {timeout:.0f} s") from None
    if process.returncode:
        raise CommandError(
            argv, process.returncode, err.decode(errors="replace") or out.decode(errors="replace")
        )
    return out.decode(errors="replace")


async def succeeds(*argv: str, stdin: str | None = None) -> bool:
    """Run a tool whose failure means "there was nothing to do"."""
    try:
        await run(*argv, stdin=stdin)
    except CommandError as error:
        log.debug("%s", error)
        return False
    return True
