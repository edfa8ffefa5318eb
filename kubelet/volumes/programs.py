"""The node's own programs for file systems: mount(8), blkid(8), mkfs(8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from kubelet.volumes.plugin import VolumeError

UNFORMATTED = 2  # blkid found nothing


async def mount(kind: str, source: str, target: str, options: Sequence[str] = ()) -> None:
    """Mount with the helper of that kind of file system. Raises VolumeError."""
    words = ["mount", "-t", kind, *(["-o", ",".join(options)] if options else []), source, target]
    code, said = await run(*words)
    if code:
        raise VolumeError(f"mount failed: exit status {code}\nOutput: {said}")


async def format_and_mount(device: str, target: str, kind: str, options: Sequence[str] = ()) -> None:
    """Mount a device; one that holds nothing yet is formatted first. Raises VolumeError."""
    code, found = await run("blkid", "-p", "-s", "TYPE", "-o", "value", device)
    if code == UNFORMATTED:
        force = ["-F", "-m0"] if kind.startswith("ext") else ["-f"]
        code, said = await run(f"mkfs.{kind}", *force, device)
        if code:
            raise VolumeError(f"format of disk {device} failed: type:({kind}) exit status {code}: {said}")
        found = kind
    elif code:
        raise VolumeError(f"blkid {device} failed: exit status {code}: {found}")
    await mount(found.strip() or kind, device, target, options)


async def run(*command: str) -> tuple[int, str]:
    """Exit code and output of a program. Raises OSError when there is no such program."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace")
